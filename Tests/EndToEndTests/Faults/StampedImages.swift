import OpenSSL
import Synchronization
import TestKit

/// Small images that differ in every block, made when they are asked for, and a web server for them.
final class StampedImages: Sendable {
  let server: TestHTTPServer
  private let base: [UInt8]
  private let block = 2 << 20
  private let isSlow: Bool
  private let checksums = Mutex<[Int: String]>([:])
  private let served = Mutex<Set<Int>>([])

  /// A block of noise, one of text, a hole, and so on; then an odd tail of noise.
  /// - Parameter isSlow: The server sends a mebibyte each 40 milliseconds.
  init(seed: UInt64 = 7, blocks: Int = 3, isSlow: Bool = false) throws {
    self.isSlow = isSlow
    var noise = Noise(seed: seed)
    let random = noise.bytes(block)
    var base: [UInt8] = []
    for index in 0..<blocks {
      switch index % 3 {
      case 0: base += random
      case 1: base += [UInt8](repeating: 0x61, count: block)
      default: base += [UInt8](repeating: 0, count: block)
      }
    }
    self.base = base + noise.bytes(1536)
    server = try TestHTTPServer()
  }

  var size: Int { base.count }

  func bytes(_ number: Int) -> [UInt8] {
    var bytes = base
    for start in stride(from: 0, to: bytes.count, by: block) where start / block % 3 != 2 || start + block > bytes.count
    {
      for place in 0..<8 {
        bytes[start + place] = UInt8(truncatingIfNeeded: (number &* 2_654_435_761 &+ start) >> (8 * place))
      }
    }
    return bytes
  }

  func checksum(_ number: Int) -> String {
    if let known = checksums.withLock({ $0[number] }) { return known }
    let checksum = bytes(number).withUnsafeBytes { hexadecimal(SHA512.hash($0)) }
    checksums.withLock { $0[number] = checksum }
    return checksum
  }

  /// Where to download it.
  func url(_ number: Int) -> String {
    let path = "/\(number).img"
    if served.withLock({ $0.insert(number).inserted }) {
      server.serve(path) { [unowned self] request in
        var answer = ServedFile(bytes(number), etag: "\"\(number)\"", lastModified: nil).answer(request)
        if isSlow { answer.drip = (1 << 20, 40) }
        return answer
      }
    }
    return server.url(path)
  }
}
