import DiskImage
import LUKS
import LinuxSystem
import StageKit

/// Keeps the new header in the job's folder, for no two of them are equal, and a copy that goes on must go on with the
/// one that it began with. It is as public as the image that will begin with it.
struct HeaderKeeper {
  private let path: String
  private let isFirst: Bool

  init(_ request: OpenRequest) {
    path = "\(request.jobFolder)/rekey.header"
    isFirst = request.attempt <= 1
  }

  func header(
    of lower: any Device, from old: KeyMaterial, to new: KeyMaterial, _ params: CryptoParams,
    host: any Host
  ) throws -> HeaderFile {
    let size = try lower.seekableSize()
    let gate = params.gate(host)
    let file = try HeaderFile.load(imageSize: size, log: CryptoDevice.logging(host)) {
      try lower.readAll(into: $0, at: $1)
    }
    if let kept = try kept(file.header, size, host), (try? kept.unlock(new, gate: gate)) != nil { return kept }
    host.phase("re-keying", detail: nil)
    let made = try file.rekeyed(from: old, to: new, derivation: params.derivation, gate: gate)
    try keep(made)
    return made
  }

  /// What an earlier attempt kept, if it is of the same image.
  private func kept(_ header: LUKSHeader, _ size: UInt64, _ host: any Host) throws -> HeaderFile? {
    guard !isFirst, try FileStatus.of(path, followLinks: false)?.size == header.length else { return nil }
    let file = try OpenFile.open(path, .read, followLinks: false)
    let kept = try? HeaderFile.load(imageSize: size, log: CryptoDevice.logging(host)) { buffer, offset in
      let count = try file.read(into: buffer, at: offset)
      UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    }
    guard let kept, kept.header.uuid == header.uuid, kept.header.dataOffset == header.dataOffset else { return nil }
    return kept
  }

  /// For a job that is given up; the engine cleans the folder of one that has succeeded. Whoever knows a passphrase of the
  /// past must not find a header that takes it.
  func forget() throws {
    if try FileStatus.of(path, followLinks: false) != nil { try Folder.remove(file: path) }
  }

  private func keep(_ made: HeaderFile) throws {
    var bytes = [UInt8](repeating: 0, count: Int(made.header.length))
    try bytes.withUnsafeMutableBytes { try made.read(into: $0, at: 0) }
    try Folder.writeDurably(path, bytes)
  }
}
