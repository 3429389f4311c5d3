import LinuxSystem
import OpenSSL
import TestKit

/// A sparse image with noise, text and holes, and what is known of it.
struct TestImage {
  var path: String
  var size: UInt64
  var sha512: String

  /// Half of the 2 MiB blocks hold noise, every fourth the same text, the others are holes.
  static func make(_ path: String, size: UInt64, seed: UInt64 = 1) throws -> TestImage {
    let file = try OpenFile.open(path, .createNew(permissions: 0o644))
    try file.truncate(to: size)
    var noise = Noise(seed: seed)
    let block: UInt64 = 2 << 20
    let text = [UInt8](repeating: 0x61, count: Int(block))
    for (index, offset) in stride(from: UInt64(0), to: size, by: Int(block)).enumerated() {
      let length = Int(min(block, size - offset))
      switch index % 4 {
      case 0, 2: try noise.bytes(length).withUnsafeBytes { try file.write($0, at: offset) }
      case 1: try text[..<length].withUnsafeBytes { try file.write($0, at: offset) }
      default: break
      }
    }
    try file.sync()
    return TestImage(path: path, size: size, sha512: try sha512(of: path))
  }

  static func sha512(of path: String) throws -> String {
    let file = try OpenFile.open(path, .read)
    var digest = SHA512()
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    var offset: UInt64 = 0
    while true {
      let count = try buffer.withUnsafeMutableBytes { try file.read(into: $0, at: offset) }
      if count == 0 { break }
      buffer.withUnsafeBytes { digest.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      offset += UInt64(count)
    }
    return hexadecimal(digest.finish())
  }
}
