// build: DiskImage
// link: z zstd lz4 crypto
import DiskImage
import OpenSSL

/// Feeds the header reader: the input lies at the beginning of an image, and its two halves' checksums are made true, so
/// that what is behind them is reached.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzLUKS(_ data: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  guard count > 0 else { return 0 }
  var image = [UInt8](UnsafeRawBufferPointer(start: data, count: count))
  let isSigned = image.removeLast() % 4 != 0
  if isSigned { for start in [0, 16384] where image.count >= start + 16384 { sign(&image, start) } }
  let probe = try? LUKSProbe.of(size: UInt64(image.count)) { buffer, offset in
    buffer.initializeMemory(as: UInt8.self, repeating: 0)
    guard offset < UInt64(image.count) else { return }
    buffer.copyBytes(from: image[Int(offset)...].prefix(buffer.count))
  }
  if case .encrypted(let header)? = probe {
    for size in [0, 512, 1 << 20, 1 << 40, UInt64.max] { _ = header.problem(imageSize: size) }
    _ = header.isSaid(by: image.dropFirst(4096).prefix { $0 != 0 })
  }
  return 0
}

private func sign(_ image: inout [UInt8], _ start: Int) {
  image.replaceSubrange((start + 448)..<(start + 512), with: repeatElement(0, count: 64))
  let sum = image[start..<(start + 16384)].withUnsafeBytes { SHA256.hash($0) }
  image.replaceSubrange((start + 448)..<(start + 480), with: sum)
}
