import LinuxSystem
import Testing

@testable import VolumeStore

/// The code of the `VolumeError` that `body` throws; nil where it throws none.
func code(_ body: () throws -> Void) -> String? {
  do { try body() } catch { return (error as? VolumeError)?.code.rawValue ?? "\(error)" }
  return nil
}

func bytes(_ view: VolumeView, at offset: UInt64 = 0, _ count: Int) throws -> [UInt8] {
  var bytes = [UInt8](repeating: 0xEE, count: count)
  try bytes.withUnsafeMutableBytes { try view.read(into: $0, at: offset) }
  return bytes
}

/// Writes into the head of a volume that nobody has open.
func writeHead(_ folder: VolumeFolder, _ bytes: [UInt8], at offset: UInt64) throws {
  let head = try folder.openLayer(VolumeTree.read(folder).volume.head, writable: true)
  try bytes.withUnsafeBytes { try head.write($0, at: offset) }
  try head.sync()
}
