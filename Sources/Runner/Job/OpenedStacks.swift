import ChildProtocol
import DroverModel
import FoundationEssentials

/// Both stacks of a copy, open, and where it goes on.
final class OpenedStacks {
  let from: DeviceStack
  private(set) var to: DeviceStack
  /// Everything below is in the sink.
  private(set) var start: UInt64 = 0

  /// Opens both, and goes on at the checkpoint where nothing differs from what it says. Otherwise starts over, after what
  /// the earlier attempts left was discarded.
  init(
    _ pipeline: ResolvedPipeline, checkpoint: Checkpoint?, digest: String, order: OrderContext, job: JobContext
  ) throws {
    func discard(because reason: String) throws {
      job.log(.warning, "starting over: \(reason)")
      try Discard.run(pipeline.to, order: order, job: job)
    }
    func openTo(_ tokens: [[UInt8]], _ source: any BlockDevice) throws -> DeviceStack {
      try DeviceStack.open(
        pipeline.to, writable: true, order: order, job: job, tokens: tokens, source: source)
    }
    var resume = checkpoint.flatMap { Resume($0, digest: digest, stages: pipeline.to.count) }
    if checkpoint != nil, resume == nil { try discard(because: "the checkpoint is of another pipeline") }

    let from = try DeviceStack.open(pipeline.from, writable: false, order: order, job: job)
    var opened: DeviceStack?
    do {
      if let known = resume?.identities, known.prefix(from.identities.count) != from.identities[...] {
        resume = nil
        try discard(because: "the source has changed since the checkpoint")
      }
      if let resume { opened = try Self.goOn(resume, from: from, job: job) { try openTo(resume.tokens, from.top) } }
      if let resume, let opened {
        // Below filters only the last write tells how long the image is, so there must be one.
        start = opened.hasFilters && resume.offset > 0 ? resume.offset - 1 : resume.offset
      } else {
        if resume != nil { try discard(because: "what the checkpoint needs is gone") }
        opened = try openTo([], from.top)
      }
    } catch {
      opened?.close()
      from.close()
      throw error
    }
    self.from = from
    to = opened!
  }

  /// The writing side as the checkpoint left it; nil, and closed, where it can't be continued.
  private static func goOn(
    _ resume: Resume, from: DeviceStack, job: JobContext, open: () throws -> DeviceStack
  ) throws -> DeviceStack? {
    let to: DeviceStack
    do {
      to = try open()
    } catch let fault as Fault where fault.retry == .never && job.interruption.request == .none {
      job.log(.info, fault.message)
      return nil
    }
    let isSame = resume.identities == from.identities + to.identities
    let isWithin = from.top.info.size.map { resume.offset <= $0 } ?? true
    // What was copied must be read again for the checksum.
    if isSame, isWithin, !to.lowest.info.isImageFile || canBeRead(to.lowest) { return to }
    to.close()
    return nil
  }

  private static func canBeRead(_ device: StageDevice) -> Bool {
    let length = Int(device.info.blockMin)
    guard device.calls.contains(.read), length <= 1 << 20 else { return false }
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 4096)
    defer { buffer.deallocate() }
    return (try? device.read(into: buffer, at: 0)) != nil
  }

  /// Again does nothing.
  func close() {
    to.close()
    from.close()
  }
}

/// A checkpoint that fits the pipeline.
private struct Resume {
  var offset: UInt64
  var identities: [String]
  /// Of the writing side, lowest first.
  var tokens: [[UInt8]]

  init?(_ checkpoint: Checkpoint, digest: String, stages: Int) {
    let tokens = checkpoint.tokens.reversed().compactMap { Data(base64Encoded: $0).map { [UInt8]($0) } }
    guard checkpoint.pipelineDigest == digest, tokens.count == stages, checkpoint.tokens.count == stages,
      checkpoint.offset >= 0
    else { return nil }
    offset = UInt64(checkpoint.offset)
    identities = checkpoint.identities
    self.tokens = tokens
  }
}
