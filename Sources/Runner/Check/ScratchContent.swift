import CDroverPlugin
import Glibc
import OpenSSL
import Synchronization

/// Bytes for a check: noise, runs that are said to be zero, and zeros that are said to be data. The same size gives the
/// same bytes.
struct ScratchContent: Sendable {
  var bytes: [UInt8]
  /// In order, without gaps.
  var extents: [drover_extent]
  /// 128 hexadecimal digits.
  private(set) var sha512: String

  /// What was written by another stage: all of it data.
  init(written bytes: [UInt8]) {
    self.bytes = bytes
    extents =
      bytes.isEmpty
      ? [] : [drover_extent(offset: 0, length: UInt64(bytes.count), type: DROVER_EXTENT_DATA, reserved: 0)]
    sha512 = bytes.withUnsafeBytes { hexadecimal(SHA512.hash($0)) }
  }

  init(size: Int) {
    self = Self.known.withLock { known in
      if let content = known[size] { return content }
      let content = ScratchContent(making: size)
      known[size] = content
      return content
    }
  }

  private static let known = Mutex<[Int: ScratchContent]>([:])

  private init(making size: Int) {
    var bytes = [UInt8](repeating: 0, count: size)
    var extents: [drover_extent] = []
    var random = Steps(seed: UInt64(size))
    let longest = 700 * 512
    let noise = (0..<(longest / 8)).map { _ in random.next() }
    var at = 0
    while at < size {
      let length = min(size - at, 512 * Int(1 + random.next() % 700))
      let kind = random.next() % 4
      if kind < 2 {
        bytes[at..<(at + length)].withUnsafeMutableBytes { target in
          noise.withUnsafeBytes { target.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[..<length])) }
        }
        // No two runs are the same.
        withUnsafeBytes(of: UInt64(at)) { number in
          for index in 0..<min(8, length) { bytes[at + index] = number[index] ^ 0x5A }
        }
      }
      let type = kind == 3 ? DROVER_EXTENT_ZERO : DROVER_EXTENT_DATA
      extents.append(drover_extent(offset: UInt64(at), length: UInt64(length), type: type, reserved: 0))
      at += length
    }
    self.bytes = bytes
    self.extents = extents
    sha512 = bytes.withUnsafeBytes { hexadecimal(SHA512.hash($0)) }
  }

  /// Compared at once, whatever the optimiser makes of loops.
  static func isSame(_ one: UnsafeRawBufferPointer, _ other: UnsafeRawBufferPointer) -> Bool {
    guard one.count == other.count else { return false }
    guard let first = one.baseAddress, let second = other.baseAddress, one.count > 0 else { return true }
    return memcmp(first, second, one.count) == 0
  }
}
