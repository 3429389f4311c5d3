import Glibc

/// One connection of `TestHTTPServer`: reads a request, sends the answer with its fault, closes.
struct TestConnection {
  let socket: Int32
  let isStopped: () -> Bool

  /// - Parameter readsBody: asked with the head only; false has the answer sent while the body may still be coming.
  func serve(readsBody: (ReceivedRequest) -> Bool, _ reply: (ReceivedRequest) -> ScriptedAnswer) {
    defer { close(socket) }
    var received: [UInt8] = []
    var end: Int?
    while end == nil {
      // 22 begins a TLS handshake, which this server does not speak.
      guard received.count < 1 << 20, receive(into: &received), received.first != 22 else { return }
      end = headEnd(received)
    }
    guard let end, var request = parse(received[..<end]) else { return }
    received.removeFirst(end)
    if readsBody(request) {
      guard let body = body(of: request, begun: received) else { return }
      request.body = body
    }
    send(reply(request), to: request)
  }

  private func headEnd(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= 4 else { return nil }
    return (0...bytes.count - 4).first { bytes[$0..<$0 + 4].elementsEqual([13, 10, 13, 10]) }.map { $0 + 4 }
  }

  private func parse(_ head: ArraySlice<UInt8>) -> ReceivedRequest? {
    let lines = String(decoding: head, as: UTF8.self).split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count == 3 else { return nil }
    var headers: [String: String] = [:]
    for line in lines.dropFirst() {
      guard let colon = line.firstIndex(of: ":") else { continue }
      let value = line[line.index(after: colon)...].drop { $0 == " " }
      headers[line[..<colon].lowercased()] = String(value)
    }
    return ReceivedRequest(method: String(words[0]), target: String(words[1]), headers: headers, number: 0)
  }

  private func body(of request: ReceivedRequest, begun: [UInt8]) -> [UInt8]? {
    var body = begun
    if request.headers["transfer-encoding"]?.lowercased() == "chunked" {
      var pending = begun
      body = []
      while true {
        switch takeChunk(&pending) {
        case .some(let chunk) where chunk.isEmpty: return body
        case .some(let chunk): body += chunk
        case nil: guard receive(into: &pending) else { return nil }
        }
      }
    }
    let length = request.headers["content-length"].flatMap { Int($0) } ?? 0
    while body.count < length { guard receive(into: &body) else { return nil } }
    return body
  }

  /// Nil while it is not whole.
  private func takeChunk(_ pending: inout [UInt8]) -> [UInt8]? {
    guard let lineEnd = pending.firstIndex(of: 10),
      let size = Int(String(decoding: pending[..<lineEnd], as: UTF8.self).prefix { $0.isHexDigit }, radix: 16)
    else { return nil }
    let start = lineEnd + 1
    guard pending.count >= start + size + 2 else { return nil }
    let chunk = [UInt8](pending[start..<start + size])
    pending.removeFirst(start + size + 2)
    return chunk
  }

  private func receive(into bytes: inout [UInt8]) -> Bool {
    guard waits(for: Int16(POLLIN)) else { return false }
    var piece = [UInt8](repeating: 0, count: 64 << 10)
    let count = recv(socket, &piece, piece.count, 0)
    guard count > 0 else { return false }
    bytes += piece[..<count]
    return true
  }

  private func send(_ answer: ScriptedAnswer, to request: ReceivedRequest) {
    if answer.isSilent { return waitUntilClientGoes() }
    var head = "HTTP/1.1 \(answer.status) scripted\r\nConnection: close\r\n"
    for (name, value) in answer.headers { head += "\(name): \(value)\r\n" }
    switch answer.framing {
    case .length: head += "Content-Length: \(answer.body.count)\r\n"
    case .falseLength(let length): head += "Content-Length: \(length)\r\n"
    case .chunked: head += "Transfer-Encoding: chunked\r\n"
    case .untilClose: break
    }
    guard send([UInt8]((head + "\r\n").utf8)[...]), request.method != "HEAD" else { return }
    let end = min(answer.fault?.after ?? answer.body.count, answer.body.count)
    let step = answer.drip?.bytes ?? 256 << 10
    for start in stride(from: 0, to: end, by: step) {
      guard sendPiece(answer.body[start..<min(start + step, end)], answer.framing) else { return }
      if let drip = answer.drip { usleep(UInt32(drip.milliseconds) * 1000) }
    }
    switch answer.fault?.1 {
    case nil: if case .chunked = answer.framing { _ = send([UInt8]("0\r\n\r\n".utf8)[...]) }
    case .close: break
    case .reset:
      var hard = linger(l_onoff: 1, l_linger: 0)
      setsockopt(socket, SOL_SOCKET, SO_LINGER, &hard, socklen_t(MemoryLayout<linger>.size))
      return
    case .stall: return waitUntilClientGoes()
    }
    // Lets the client read everything before the socket is closed, even when bytes of its request were never read.
    shutdown(socket, Int32(SHUT_WR))
    waitUntilClientGoes()
  }

  private func waitUntilClientGoes() {
    var dropped: [UInt8] = []
    while receive(into: &dropped) { dropped = [] }
  }

  private func sendPiece(_ bytes: ArraySlice<UInt8>, _ framing: ScriptedAnswer.Framing) -> Bool {
    guard case .chunked = framing else { return send(bytes) }
    return send([UInt8]("\(String(bytes.count, radix: 16))\r\n".utf8)[...]) && send(bytes) && send([13, 10])
  }

  private func send(_ bytes: ArraySlice<UInt8>) -> Bool {
    var rest = bytes
    while !rest.isEmpty {
      guard waits(for: Int16(POLLOUT)) else { return false }
      let count = rest.withUnsafeBytes {
        Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT))
      }
      guard count > 0 else { return false }
      rest = rest.dropFirst(count)
    }
    return true
  }

  /// False when the server was stopped meanwhile.
  private func waits(for events: Int16) -> Bool {
    while !isStopped() {
      var entry = pollfd(fd: socket, events: events, revents: 0)
      if poll(&entry, 1, 50) > 0 { return true }
    }
    return false
  }
}
