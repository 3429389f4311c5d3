import LinuxSystem

/// One client, from its first byte to its last. Its own threads serve it, so that whatever it does costs the others
/// nothing.
final class Connection: Sendable {
  private let socket: ClientSocket
  private let export: NBDExport
  private let state = Monitor(State())

  private struct State {
    var waiting: [Request] = []
    var idle = 0
    var threads = 0
    /// Requests that are taken and not answered.
    var open = 0
    /// No more requests come.
    var isOver = false
    /// Nobody is there to be answered.
    var isBroken = false
  }

  private static let mostThreads = 4
  private static let mostOpen = 64
  /// Between two bytes of one request.
  private static let patience = 60.0

  init(_ socket: ClientSocket, _ export: NBDExport) {
    self.socket = socket
    self.export = export
  }

  /// Returns when the client has gone and nothing of it is under way.
  /// - Throws: What ended it, where it was not the client's wish.
  func run() throws(Parting) {
    defer { socket.shutDown() }
    var negotiation = Negotiation(socket, export)
    guard let agreement = try negotiation.run() else { return }
    let answering = Answering(socket: socket, device: export.device, agreement: agreement)
    do throws(Parting) {
      let isWished = try take(answering, agreement)
      finish(answeringAll: isWished)
    } catch {
      finish(answeringAll: false)
      throw error
    }
  }

  /// Ends it from outside.
  func end() { socket.shutDown() }

  /// True: the client asked for the end; false: it just went.
  private func take(_ answering: Answering, _ agreement: Agreement) throws(Parting) -> Bool {
    var header = [UInt8](repeating: 0, count: Request.headerLength)
    while true {
      let result = header.withUnsafeMutableBytes { buffer in
        Result { () throws(Parting) in try socket.read(into: buffer, idle: nil, patience: Self.patience) }
      }
      guard try result.get() else { return false }
      switch Request.read(header, for: export, agreement) {
      case .nonsense(let what): throw .nonsense(what)
      case .refusal(let cookie, let error, let isRead, let payload):
        try takePayload(payload) { _, _ in }
        try answering.fail(cookie, error, isRead: isRead)
      case .request(let request):
        switch request.command {
        case .disconnect: return true
        case .write: try write(request, answering)
        default: try hand(request, answering)
        }
      }
    }
  }

  /// By the thread that reads, which has the data: more than one write at a time takes more than one connection.
  private func write(_ request: Request, _ answering: Answering) throws(Parting) {
    var failure: NBDError?
    try takePayload(request.length) { bytes, done in
      guard failure == nil else { return }
      do { try export.device.write(bytes, at: request.offset + UInt64(done)) } catch {
        failure = (error as? NBDError) ?? .io
      }
    }
    if failure == nil, request.flags.contains(.fua) {
      do { try export.device.flush() } catch { failure = (error as? NBDError) ?? .io }
    }
    if let failure { return try answering.fail(request.cookie, failure, isRead: false) }
    try answering.succeed(request.cookie)
  }

  private func takePayload(
    _ length: UInt32, _ body: (UnsafeRawBufferPointer, _ done: Int) -> Void
  ) throws(Parting) {
    guard length > 0 else { return }
    let buffer = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(Int(length), Answering.pieceLength), alignment: 4096)
    defer { buffer.deallocate() }
    var done = 0
    while done < Int(length) {
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, Int(length) - done)])
      guard try socket.read(into: piece, idle: Self.patience, patience: Self.patience) else { throw .gone }
      body(UnsafeRawBufferPointer(piece), done)
      done += piece.count
    }
  }

  /// Waits while the client has too much open already.
  private func hand(_ request: Request, _ answering: Answering) throws(Parting) {
    let needsThread: Bool? = state.wait { state in
      if state.isBroken { return .some(nil) }
      guard state.open < Self.mostOpen else { return nil }
      state.open += 1
      state.waiting.append(request)
      guard state.idle < state.waiting.count, state.threads < Self.mostThreads else { return false }
      state.threads += 1
      return true
    }
    guard let needsThread else { throw .gone }
    state.change { _ in }
    guard needsThread else { return }
    do throws(SystemError) {
      try SystemThread.start("nbd request") { [self] in serve(answering) }
    } catch {
      let isAlone = state.change { state in
        state.threads -= 1
        return state.threads == 0
      }
      if isAlone { throw .gone }
    }
  }

  private func serve(_ answering: Answering) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Answering.pieceLength, alignment: 4096)
    defer {
      buffer.deallocate()
      state.change { $0.threads -= 1 }
    }
    while let request = next() {
      do throws(Parting) {
        try answering.answer(request, buffer)
      } catch {
        state.change { $0.isBroken = true }
        socket.shutDown()
      }
      state.change { $0.open -= 1 }
    }
  }

  /// Nil: nothing more will come.
  private func next() -> Request? {
    state.change { $0.idle += 1 }
    let request: Request? = state.wait { state -> Request?? in
      if state.isBroken { return .some(nil) }
      if !state.waiting.isEmpty { return .some(state.waiting.removeFirst()) }
      return state.isOver ? .some(nil) : nil
    }
    state.change { $0.idle -= 1 }
    return request
  }

  /// What was taken is answered, if somebody waits for it; then the threads end.
  private func finish(answeringAll: Bool) {
    state.change { state in
      state.isOver = true
      if !answeringAll { state.isBroken = true }
    }
    if !answeringAll { socket.shutDown() }
    _ = state.wait { $0.threads == 0 ? true : nil }
  }
}
