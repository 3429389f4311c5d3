import Foundation
import Glibc
import LinuxSystem
import TestKit

/// A client that says what the test wants, right or wrong. Reads give up after half a minute.
final class RawClient {
  let descriptor: Int32

  init(_ path: String) throws {
    descriptor = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
    let code = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard code == 0 else { throw SystemError("connect", path: path, errno: errno) }
    var patience = timeval(tv_sec: 30, tv_usec: 0)
    setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, socklen_t(MemoryLayout<timeval>.size))
  }

  deinit { close(descriptor) }

  /// False: the server has gone.
  @discardableResult func send(_ bytes: [UInt8]) -> Bool {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes { Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
      if count <= 0 { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// So many bytes; fewer where the server has gone.
  func receive(_ count: Int) -> [UInt8] {
    var bytes: [UInt8] = []
    while bytes.count < count {
      var piece = [UInt8](repeating: 0, count: count - bytes.count)
      let got = recv(descriptor, &piece, piece.count, 0)
      if got <= 0 { break }
      bytes += piece[..<got]
    }
    return bytes
  }

  /// Whether the server ends the conversation, whatever it says before.
  func isLeft() -> Bool {
    var piece = [UInt8](repeating: 0, count: 65536)
    while true {
      let got = recv(descriptor, &piece, piece.count, 0)
      if got == 0 || (got < 0 && errno == ECONNRESET) { return true }
      if got < 0 { return false }
    }
  }

  /// Up to the transmission, by EXPORT_NAME. Returns the size that the server told.
  func negotiate() -> UInt64 {
    _ = receive(18)
    send(be(UInt32(3)) + option(1, []))
    return receive(10).prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
  }

  func option(_ number: UInt32, _ data: [UInt8]) -> [UInt8] {
    Array("IHAVEOPT".utf8) + be(number) + be(UInt32(data.count)) + data
  }

  func request(_ type: UInt16, offset: UInt64, length: UInt32, flags: UInt16 = 0, cookie: UInt64 = 7) -> [UInt8] {
    be(UInt32(0x2560_9513)) + be(flags) + be(type) + be(cookie) + be(offset) + be(length)
  }

  /// Error of a simple reply; nil where there is none.
  func reply() -> UInt32? {
    let bytes = receive(16)
    guard bytes.count == 16, Array(bytes[..<4]) == be(UInt32(0x6744_6698)) else { return nil }
    return bytes[4..<8].reduce(0) { $0 << 8 | UInt32($1) }
  }

  /// Of an option's reply.
  func optionReply() -> (kind: UInt32, data: [UInt8])? {
    let header = receive(20)
    guard header.count == 20 else { return nil }
    let kind = header[12..<16].reduce(0) { $0 << 8 | UInt32($1) }
    let length = header[16..<20].reduce(0) { $0 << 8 | Int($1) }
    return (kind, receive(length))
  }

  func be<Number: FixedWidthInteger>(_ number: Number) -> [UInt8] {
    withUnsafeBytes(of: number.bigEndian) { Array($0) }
  }
}
