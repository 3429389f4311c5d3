import LinuxSystem
import Synchronization

/// One client, from its first byte to its last. Its own threads serve it, so that whatever it does costs the others
/// nothing.
///
/// The thread that reads a request also answers it. Before it does, it leaves the reading to another one if the answer may
/// take long, or if the client sends more than one request at a time and the answers have taken longer than it takes to wake
/// a thread. So a client that waits for each answer has one thread, and so has one whose answers are in memory.
final class Connection: Sendable {
  private let socket: ClientSocket
  private let export: NBDExport
  private let patience: Double
  private let state = Monitor(State())
  /// So many requests more count as sent together with others.
  private let depth = Atomic(0)
  /// Nanoseconds that an answer took, of late: the longest, forgotten step by step.
  private let cost = Atomic(0)

  private struct State {
    /// Somebody has the right to read.
    var isRead = false
    /// Threads that wait for that right.
    var idle = 0
    var threads = 1
    /// No more requests are read.
    var isOver = false
    var failure: Parting?
  }

  private static let mostThreads = 8
  private static let longestDepth = 64
  /// Nanoseconds: what waking another thread is worth.
  private static let dearAnswer = 100_000

  /// - Parameter patience: Seconds that may pass between two bytes of one request.
  init(_ socket: ClientSocket, _ export: NBDExport, patience: Double) {
    self.socket = socket
    self.export = export
    self.patience = patience
  }

  /// Returns when the client has gone and nothing of it is under way.
  /// - Throws: What ended it, where it was not the client's wish.
  func run() throws(Parting) {
    defer { socket.shutDown() }
    var negotiation = Negotiation(socket, export)
    guard let agreement = try negotiation.run() else { return }
    let answering = Answering(socket: socket, device: export.device, agreement: agreement)
    serve(answering)
    _ = state.wait { $0.threads == 0 ? true : nil }
    if let failure = state.withLock({ $0.failure }) { throw failure }
  }

  /// Ends it from outside, in the middle of whatever it does.
  func end() { socket.shutDown() }

  /// No more requests are read. What has arrived is answered; `run` returns when the client has taken the answers.
  func drain() { socket.stopReading() }

  private func serve(_ answering: Answering) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Answering.pieceLength, alignment: 4096)
    defer {
      buffer.deallocate()
      state.change { $0.threads -= 1 }
    }
    do throws(Parting) {
      while takeTurn() { try answerSome(answering, buffer) }
    } catch {
      finish(error)
      // Nobody is there to be answered.
      socket.shutDown()
    }
  }

  /// False: nothing more will come.
  private func takeTurn() -> Bool {
    var isCounted = false
    return state.wait { state in
      let isReady = state.isOver || !state.isRead
      if isReady == isCounted { state.idle += isReady ? -1 : 1 }
      isCounted = !isReady
      guard isReady else { return nil }
      if state.isOver { return false }
      state.isRead = true
      return true
    }
  }

  private func finish(_ failure: Parting? = nil) {
    state.change { state in
      state.isOver = true
      state.failure = state.failure ?? failure
    }
  }

  /// Reads and answers until another thread has the reading, or the conversation is over.
  private func answerSome(_ answering: Answering, _ buffer: UnsafeMutableRawBufferPointer) throws(Parting) {
    while true {
      let header = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Request.headerLength])
      guard try socket.read(into: header, idle: nil, patience: patience) else { return finish() }
      let wasWaitedFor = socket.wasWaitedFor
      switch Request.read(UnsafeRawBufferPointer(header), for: export, answering.agreement) {
      case .nonsense(let what): throw .nonsense(what)
      case .refusal(let cookie, let error, let isRead, let payload):
        try takePayload(payload, buffer) { _, _ in }
        try answering.fail(cookie, error, isRead: isRead)
      case .request(let request):
        switch request.command {
        case .disconnect: return finish()
        case .write where request.length > buffer.count:
          try writePieces(request, answering, buffer)
        case .write:
          let data = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(request.length)])
          guard try socket.read(into: data, idle: patience, patience: patience) else { throw .gone }
          let isLeft = leaveReading(request, isDeep: wasWaitedFor || socket.hasMore, answering)
          try timing { () throws(Parting) in try answering.write(request, UnsafeRawBufferPointer(data)) }
          if isLeft { return }
        default:
          let isLeft = leaveReading(request, isDeep: wasWaitedFor || socket.hasMore, answering)
          try timing { () throws(Parting) in try answering.answer(request, buffer) }
          if isLeft { return }
        }
      }
    }
  }

  private func timing(_ body: () throws(Parting) -> Void) throws(Parting) {
    let began = MonotonicClock.nanoseconds()
    try body()
    let took = MonotonicClock.nanoseconds() - began
    // Threads may overwrite what another one has noted: it is a guess anyway.
    cost.store(max(took, cost.load(ordering: .relaxed) / 8 * 7), ordering: .relaxed)
  }

  /// Whether other threads may read from now on.
  private func leaveReading(_ request: Request, isDeep: Bool, _ answering: Answering) -> Bool {
    let isLong = request.flags.contains(.fua) || (request.command != .read && request.command != .write)
    // Only by the thread that has the right to read.
    depth.store(
      isDeep ? Self.longestDepth : max(0, depth.load(ordering: .relaxed) - 1), ordering: .relaxed)
    let isWorthIt = depth.load(ordering: .relaxed) > 0 && cost.load(ordering: .relaxed) > Self.dearAnswer
    guard isLong || isWorthIt else { return false }
    let (isLeft, needsThread) = state.changeWakingOne { state -> (Bool, Bool) in
      state.isRead = false
      guard state.idle == 0, state.threads < Self.mostThreads, !state.isOver else { return (true, false) }
      state.threads += 1
      return (true, true)
    }
    if needsThread {
      do throws(SystemError) {
        try SystemThread.start("nbd request") { [self] in serve(answering) }
      } catch {
        // Those that there are go on.
        state.change { $0.threads -= 1 }
      }
    }
    return isLeft
  }

  /// A write that is longer than the buffer: its data is written as it comes.
  private func writePieces(
    _ request: Request, _ answering: Answering, _ buffer: UnsafeMutableRawBufferPointer
  ) throws(Parting) {
    var failure: NBDError?
    try takePayload(request.length, buffer) { bytes, done in
      guard failure == nil else { return }
      do { try export.device.write(bytes, at: request.offset + UInt64(done)) } catch { failure = NBDError(error) }
    }
    try answering.end(request, failure)
  }

  private func takePayload(
    _ length: UInt32, _ buffer: UnsafeMutableRawBufferPointer,
    _ body: (UnsafeRawBufferPointer, _ done: Int) -> Void
  ) throws(Parting) {
    var done = 0
    while done < Int(length) {
      let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, Int(length) - done)])
      guard try socket.read(into: piece, idle: patience, patience: patience) else { throw .gone }
      body(UnsafeRawBufferPointer(piece), done)
      done += piece.count
    }
  }
}
