import ControlAPI
import DroverModel
import FoundationEssentials
import Glibc
import TestKit

struct Reply: Sendable {
  var status: Int
  /// Names in lower case.
  var headers: [String: String]
  var body: [UInt8]
  /// Whether the body came as long as it was announced.
  var isComplete: Bool

  var text: String { String(decoding: body, as: UTF8.self) }
  var json: JSONValue? { try? JSONDecoder().decode(JSONValue.self, from: Data(body)) }
  var code: String? { json?["error"]?["code"]?.string }
  var message: String { json?["error"]?["message"]?.string ?? "" }
}

struct NoReply: Error, CustomStringConvertible { var description: String }

/// A unix socket in the hands of somebody who need not keep to HTTP. All calls block, with a deadline.
final class RawClient {
  let descriptor: Int32
  private var received: [UInt8] = []
  private(set) var hasEnded = false
  var patienceMilliseconds: Int32 = 60_000

  init(_ path: String) throws {
    descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard code == 0 else {
      // The object is complete by now, so its deinit closes the descriptor.
      throw NoReply(description: "connect \(path): \(String(cString: strerror(errno)))")
    }
  }

  deinit { close(descriptor) }

  static func request(_ method: String, _ target: String, headers: [String: String] = [:], body: String? = nil)
    -> String
  {
    var text = "\(method) \(target) HTTP/1.1\r\nHost: drover\r\n"
    for (name, value) in headers { text += "\(name): \(value)\r\n" }
    if let body { text += "Content-Length: \(body.utf8.count)\r\n" }
    return text + "\r\n" + (body ?? "")
  }

  func send(_ text: String) throws { try send(Array(text.utf8)) }

  /// Sends all of it, and calls `onStall` each time the socket stays full for a while.
  func send(_ bytes: [UInt8], onStall: () -> Void = {}, onProgress: (Int) -> Void = { _ in }) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = rest.withUnsafeBytes {
        Glibc.send(descriptor, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      if count > 0 {
        rest = rest.dropFirst(count)
        onProgress(count)
        continue
      }
      guard errno == EAGAIN || errno == EINTR else {
        throw NoReply(description: "send: \(String(cString: strerror(errno)))")
      }
      var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      var waited: Int32 = 0
      while poll(&entry, 1, 200) == 0 {
        onStall()
        waited += 200
        guard waited < patienceMilliseconds else { throw NoReply(description: "the server takes no more") }
      }
    }
  }

  func endOutput() { _ = shutdown(descriptor, Int32(SHUT_WR)) }

  /// Reads some bytes; false at the end.
  @discardableResult func receive() throws -> Bool {
    if hasEnded { return false }
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    guard poll(&entry, 1, patienceMilliseconds) > 0 else { throw NoReply(description: "nothing came in time") }
    var buffer = [UInt8](repeating: 0, count: 65536)
    let count = recv(descriptor, &buffer, buffer.count, 0)
    if count > 0 {
      received += buffer[..<count]
      return true
    }
    hasEnded = true
    return false
  }

  /// Waits, without reading, until the server closed the connection.
  func waitForHangUp() throws {
    var entry = pollfd(fd: descriptor, events: 0, revents: 0)
    guard poll(&entry, 1, patienceMilliseconds) > 0 else { throw NoReply(description: "the server keeps it open") }
  }

  /// Everything until the server closes.
  func untilEnd() throws -> [UInt8] {
    while try receive() {}
    defer { received = [] }
    return received
  }

  /// Reads up to `limit` bytes of a body and forgets them; returns how many came.
  func discard(_ limit: Int) throws -> Int {
    var count = 0
    while true {
      count += received.count
      received = []
      guard count < limit, try receive() else { return count }
    }
  }

  /// A line of a body that is streamed in chunks, after `head`.
  func chunk() throws -> String? {
    while true {
      if let end = find([13, 10]) {
        let size = Int(String(decoding: received[..<end], as: UTF8.self), radix: 16) ?? 0
        if received.count >= end + 2 + size + 2 {
          let chunk = received[(end + 2)..<(end + 2 + size)]
          defer { received.removeFirst(end + 2 + size + 2) }
          return size == 0 ? nil : String(decoding: chunk, as: UTF8.self)
        }
      }
      guard try receive() else { throw NoReply(description: "the stream broke") }
    }
  }

  func head() throws -> (status: Int, headers: [String: String]) {
    var end = find([13, 10, 13, 10])
    while end == nil {
      guard try receive() else { throw NoReply(description: "the connection ended before a reply") }
      end = find([13, 10, 13, 10])
    }
    let lines = String(decoding: received[..<end!], as: UTF8.self).split(separator: "\r\n")
    received.removeFirst(end! + 4)
    let status = Int(lines[0].split(separator: " ")[1])!
    let headers = lines.dropFirst().map { line in
      let colon = line.firstIndex(of: ":")!
      return (line[..<colon].lowercased(), line[line.index(after: colon)...].drop { $0 == " " })
    }
    return (status, Dictionary(headers.map { ($0, String($1)) }, uniquingKeysWith: { first, _ in first }))
  }

  func reply() throws -> Reply {
    let (status, headers) = try head()
    if status == 204 || (100..<200).contains(status) {
      return Reply(status: status, headers: headers, body: [], isComplete: true)
    }
    if let length = headers["content-length"].flatMap({ Int($0) }) {
      while received.count < length, try receive() {}
      let body = Array(received.prefix(length))
      received.removeFirst(body.count)
      return Reply(status: status, headers: headers, body: body, isComplete: body.count == length)
    }
    var body: [UInt8] = []
    do {
      while let chunk = try chunk() { body += Array(chunk.utf8) }
    } catch {
      return Reply(status: status, headers: headers, body: body, isComplete: false)
    }
    return Reply(status: status, headers: headers, body: body, isComplete: true)
  }

  private func find(_ pattern: [UInt8]) -> Int? {
    guard received.count >= pattern.count else { return nil }
    return (0...(received.count - pattern.count)).first { at in
      received[at] == pattern[0] && received[at..<(at + pattern.count)].elementsEqual(pattern)
    }
  }
}
