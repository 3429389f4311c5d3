import DroverModel
import LinuxSystem

/// Copies from one device to another on plain threads, many blocks at a time, in bounded memory.
///
/// Claims are handed out in the order of offsets; each thread reads, writes, and hands the bytes on to the hash, still in
/// the buffer that it took for them. The number of buffers bounds how far the threads run ahead of the slowest.
final class Pump: Sendable {
  let source: any BlockDevice
  let sink: any BlockDevice
  let transfer: TransferSize
  let flow: Flow
  /// Blocks that are all zero go as `zero`, though the source called them data.
  private let detectsZeros: Bool
  private let threads: Int
  private let kernelCopy: KernelCopy?
  private let hash: OrderedHash?
  private let buffers: TransferBuffers
  /// Before a sequential sink.
  private let turnstile = Turnstile()
  private let claims: Monitor<ClaimSource>
  private let job: JobContext
  private let checkpoints: CheckpointKeeper?

  /// - Parameters:
  ///   - start: Everything below is in the sink already.
  ///   - hash: Is fed every byte in order; only for a copy from 0 on.
  init(
    from source: any BlockDevice, to sink: any BlockDevice, start: UInt64, concurrency: Int, job: JobContext,
    checkpoints: CheckpointKeeper?, kernelCopy: KernelCopy? = nil, hash: OrderedHash? = nil
  ) throws {
    self.source = source
    self.sink = sink
    self.job = job
    self.checkpoints = checkpoints
    self.kernelCopy = kernelCopy
    self.hash = hash
    transfer = try TransferSize(source: source.info, sink: sink.info)
    let begin = transfer.begin(start, size: source.info.size)
    detectsZeros = source.info.lacksExtents || source.info.isSequential
    threads = max(1, min(concurrency, 64, Int(Self.memory / transfer.longestData)))
    buffers = TransferBuffers(
      count: threads + (hash == nil ? 0 : Self.ahead), length: Int(transfer.longestData))
    flow = Flow(start: begin)
    claims = Monitor(ClaimSource(source, transfer: transfer, start: begin))
  }

  /// All buffers together.
  private static let memory: UInt64 = 512 << 20
  /// Buffers that wait for the hash while every thread has one.
  private static let ahead = 3

  /// Returns when everything was taken by the sink, unflushed; tells where the data ended.
  /// - Throws: What first went wrong, or `Interrupted`. All threads have ended in either case.
  func run() throws -> UInt64 {
    let group = ThreadGroup()
    do {
      try hash?.start(check: { [self] in try check() }, failed: { [self] in stop($0) })
      for number in 0..<threads {
        try group.start("pump-\(number)") { [self] in work() }
      }
    } catch {
      stop(error)
    }
    group.join()
    hash?.close()
    flow.finish()
    if let failure = flow.failure { throw failure }
    return claims.withLock { $0.end ?? $0.position }
  }

  /// Ends all threads after their current call. What a follower of the copy throws comes in here too.
  func stop(_ error: any Error) {
    flow.fail(error)
    turnstile.shut()
    hash?.shut()
    buffers.shut()
  }

  private func work() {
    do {
      while let buffer = buffers.take() {
        guard let claim = try claim(buffer) else {
          buffers.giveBack(buffer)
          return
        }
        guard try process(claim, buffer) else { return }
      }
    } catch {
      stop(error)
    }
  }

  private func check() throws {
    try job.interruption.check()
    if flow.failure != nil { throw Interrupted() }
  }

  private func claim(_ buffer: UnsafeMutableRawBufferPointer) throws -> Claim? {
    try claims.withLock { claims in
      let claim = try claims.next(into: buffer, check: check)
      if let claim { flow.claimed(claim) }
      return claim
    }
  }

  /// The buffer is given back, or handed on to the hash. False once the pump was stopped.
  private func process(_ claim: Claim, _ buffer: UnsafeMutableRawBufferPointer) throws -> Bool {
    var claim = claim
    var bytes: UnsafeRawBufferPointer?
    var isCopied = false
    if claim.kind == .absent, !sink.info.takesAbsent {
      throw Fault(
        .notSupported,
        "\(source.name) leaves bytes from \(claim.offset) on to what lies below, but \(sink.name) has nothing below it")
    }
    if claim.kind == .data {
      isCopied = try kernelCopy?.copy(claim, check: check) ?? false
      if !isCopied {
        let filled = try read(claim, buffer)
        if detectsZeros, Zeros.fill(filled) { claim.kind = .zero } else { bytes = filled }
      }
    }
    if sink.info.isSequential {
      guard try turnstile.pass(claim.ticket, { try write(claim, bytes, isCopied) }) != nil else { return false }
    } else {
      try write(claim, bytes, isCopied)
    }
    guard handOn(claim, bytes, buffer) else { return false }
    flow.confirm(claim, copied: claim.kind == .data ? claim.length : 0)
    job.phase.moved()
    try checkpoints?.takeIfDue(flow)
    return true
  }

  private func handOn(
    _ claim: Claim, _ bytes: UnsafeRawBufferPointer?, _ buffer: UnsafeMutableRawBufferPointer
  ) -> Bool {
    guard let hash, let bytes else {
      buffers.giveBack(buffer)
      return hash?.addZeros(claim.length, ticket: claim.ticket) ?? true
    }
    let prepared = hash.prepare(bytes, at: claim.offset)
    return hash.add(LentBytes(bytes, in: buffer, of: buffers), prepared, ticket: claim.ticket)
  }

  private func read(_ claim: Claim, _ buffer: UnsafeMutableRawBufferPointer) throws -> UnsafeRawBufferPointer {
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(claim.length)])
    if !claim.isRead {
      _ = try readPieces(source, into: target, at: claim.offset, limit: transfer.readLimit)
    }
    return UnsafeRawBufferPointer(target)
  }

  private func write(_ claim: Claim, _ bytes: UnsafeRawBufferPointer?, _ isCopied: Bool) throws {
    if let bytes {
      try writePieces(bytes, at: claim.offset)
    } else if claim.kind == .zero, sink.info.isSequential {
      try writeZeros(claim)
    } else if claim.kind == .zero {
      try sink.zero(offset: claim.offset, length: claim.length)
    } else if !isCopied, claim.kind == .data {
      throw Fault(.internalError, "a claim of data at \(claim.offset) has no bytes")
    }
  }

  private func writePieces(_ bytes: UnsafeRawBufferPointer, at offset: UInt64) throws {
    let limit = transfer.writeLimit == 0 ? bytes.count : Int(transfer.writeLimit)
    var done = 0
    while done < bytes.count {
      let end = min(done + limit, bytes.count)
      try sink.write(UnsafeRawBufferPointer(rebasing: bytes[done..<end]), at: offset + UInt64(done))
      done = end
    }
  }

  /// Everything must be written to a sequential sink, zeros too.
  private func writeZeros(_ claim: Claim) throws {
    let unit = sink.info.blockMin
    let page = Zeros.page
    guard UInt64(page.count) >= unit else {
      throw Fault(.notSupported, "\(sink.name) is sequential with blocks of \(unit) bytes, which are too long")
    }
    let step = UInt64(page.count) / unit * unit
    var done: UInt64 = 0
    while done < claim.length {
      try check()
      let length = min(step, claim.length - done)
      try writePieces(UnsafeRawBufferPointer(rebasing: page[..<Int(length)]), at: claim.offset + done)
      done += length
    }
  }
}
