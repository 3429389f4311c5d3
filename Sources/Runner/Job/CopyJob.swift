import ChildProtocol
import DroverModel

/// One attempt at copying `from` to `to`, from opening to commit.
struct CopyJob {
  let order: JobOrder
  let context: OrderContext
  let pipeline: ResolvedPipeline
  let pace: CheckpointKeeper.Pace
  let job: JobContext
  let reporter: Reporter

  /// Returns when the result is in its place. All devices are closed in any case; nothing is discarded here, but what
  /// must be for starting over.
  func run() throws -> JobResult {
    job.phase.enter("opening")
    let digest = try order.pipeline.digest()
    let stacks = try OpenedStacks(
      pipeline, checkpoint: order.checkpoint, digest: digest, order: context, job: job)
    defer { stacks.close() }
    try job.interruption.check()
    try checkSizes(stacks)
    job.interruption.letsCallsFinish = true
    defer { job.interruption.letsCallsFinish = false }

    let kernelCopy = try offeredKernelCopy(stacks)
    let plan = checksumPlan(kernelCopy, stacks)
    try checkEarly(plan, stacks)

    let keeper = CheckpointKeeper(
      from: stacks.from, to: stacks.to, digest: digest, start: stacks.start, pace: pace, job: job)
    let hash: OrderedHash? = if case .inOrder = plan { OrderedHash(claim: claim(stacks)) } else { nil }
    let pump = try Pump(
      from: stacks.from.top, to: stacks.to.top, start: stacks.start, concurrency: context.concurrency, job: job,
      checkpoints: keeper, kernelCopy: kernelCopy, hash: hash)
    reporter.follow(pump.flow, total: stacks.from.top.info.size)
    let copied: Copied
    do {
      copied = try copy(pump, kernelCopy, plan, stacks, hash)
      try job.interruption.check()
    } catch {
      // Nobody uses the devices any more, so a pause can record all that is there.
      if job.interruption.request == .pause {
        job.interruption.isCleaning = true
        defer { job.interruption.isCleaning = false }
        try keeper.takeLast(pump.flow)
      }
      throw error
    }
    return try commit(copied, stacks, bytesCopied: pump.flow.progress.copied)
  }

  /// What the source says of the bytes that will be the image's.
  private func claim(_ stacks: OpenedStacks) -> ImageChecksum? {
    stacks.from.hasFilters || stacks.to.hasFilters ? nil : ImageChecksum(of: stacks.from.top.info)
  }

  /// What is in the sink, flushed.
  struct Copied {
    /// Of the tops.
    var size: UInt64
    /// Of the lowest writing device.
    var imageSize: UInt64
    var checksum: ImageChecksum?
  }

  private func checkSizes(_ stacks: OpenedStacks) throws {
    guard let size = stacks.from.top.info.size, let room = stacks.to.top.info.size, size > room else { return }
    throw Fault(
      .badSize, "\(stacks.from.top.name) has \(size) bytes, but \(stacks.to.top.name) has room for \(room)")
  }

  /// The kernel may copy where both tops offer their files and nobody needs to see the bytes.
  private func offeredKernelCopy(_ stacks: OpenedStacks) throws -> KernelCopy? {
    let source = stacks.from.top.info
    let sink = stacks.to.top.info
    guard let size = source.size, !source.isSequential, !sink.isSequential else { return nil }
    if stacks.to.lowest.info.isImageFile {
      guard !stacks.to.hasFilters else { return nil }
      guard source.sha512 != nil, source.blockHashes != nil || size == 0 else {
        // A filter that hands on most of a file, as re-keying does: the image is hashed behind the copy.
        return stacks.from.hasFilters ? try KernelCopy.ofParts(stacks.from.top, stacks.to.top, size: size) : nil
      }
    } else if !ChecksumPlan(from: stacks.from, to: stacks.to, start: stacks.start).isPassive {
      return nil
    }
    return try KernelCopy.between(stacks.from.top, stacks.to.top, size: size)
  }

  private func checksumPlan(_ kernelCopy: KernelCopy?, _ stacks: OpenedStacks) -> ChecksumPlan {
    if let kernelCopy, kernelCopy.isOfParts { return .behindPump(stacks.to.lowest) }
    if kernelCopy != nil, let known = ImageChecksum(of: stacks.from.top.info) { return .known(known) }
    return ChecksumPlan(from: stacks.from, to: stacks.to, start: stacks.start)
  }

  /// What can be refused before a byte is copied.
  private func checkEarly(_ plan: ChecksumPlan, _ stacks: OpenedStacks) throws {
    switch plan {
    case .known(let checksum): try compare(checksum, stacks)
    case .none where order.pipeline.expectedChecksum != nil:
      throw Fault(.notSupported, "a checksum is expected, but no stage of the pipeline holds an image file")
    default: break
    }
  }

  private func copy(
    _ pump: Pump, _ kernelCopy: KernelCopy?, _ plan: ChecksumPlan, _ stacks: OpenedStacks, _ hash: OrderedHash?
  ) throws -> Copied {
    job.phase.enter("copying")
    if let kernelCopy, let size = stacks.from.top.info.size, try kernelCopy.cloneWhole(size: size) {
      pump.flow.passed(to: size)
      return try finish(size, plan, stacks, pump, follower: nil, hash)
    }
    let follower = try startFollower(plan, pump)
    let size: UInt64
    do {
      size = try pump.run()
    } catch {
      stacks.to.watch?.stop()
      follower?.stop()
      throw error
    }
    do {
      return try finish(size, plan, stacks, pump, follower: follower, hash)
    } catch {
      stacks.to.watch?.stop()
      follower?.stop()
      throw error
    }
  }

  private func startFollower(_ plan: ChecksumPlan, _ pump: Pump) throws -> FollowerHash? {
    let flow = pump.flow
    func follow(_ device: any BlockDevice, _ mark: @escaping FollowerHash.Mark) -> FollowerHash {
      FollowerHash(device, job: job, moved: { flow.sign() }, mark: mark)
    }
    let follower: FollowerHash
    switch plan {
    case .behindPump(let device): follower = follow(device) { flow.lowWater(beyond: $0) }
    case .behindFilters(let watch):
      watch.expectHash()
      follower = follow(watch) { watch.mark(beyond: $0) }
    case .besidePump(let device, let size): follower = follow(device) { $0 < size ? size : nil }
    default: return nil
    }
    try follower.start { error in
      // The pump's threads may wait for the hash.
      if case .behindFilters(let watch) = plan { watch.stop() }
      pump.stop(error)
    }
    return follower
  }

  private func finish(
    _ size: UInt64, _ plan: ChecksumPlan, _ stacks: OpenedStacks, _ pump: Pump, follower: FollowerHash?,
    _ hash: OrderedHash?
  ) throws -> Copied {
    job.phase.enter("flushing")
    try stacks.to.top.flush()
    let imageSize = try imageSize(size, stacks)
    job.phase.enter("hashing")
    let checksum: ImageChecksum? =
      switch plan {
      case .none: nil
      case .known(let known): known
      case .inOrder: hash?.finish()
      case .behindPump: try follower?.finish(size: size)
      case .besidePump(_, let sourceSize): try follower?.finish(size: sourceSize)
      case .behindFilters(let watch): try finish(behind: watch, follower, pump, size: imageSize)
      }
    if let checksum { try compare(checksum, stacks) }
    return Copied(size: size, imageSize: imageSize, checksum: checksum)
  }

  private func imageSize(_ size: UInt64, _ stacks: OpenedStacks) throws -> UInt64 {
    guard stacks.to.hasFilters else { return size }
    if let written = stacks.to.watch?.highestWrite, written > 0 { return written }
    // Nothing was written, so nothing is read for the hash just now either, and info may be asked.
    try stacks.to.lowest.refreshInfo()
    return stacks.to.lowest.info.size ?? size
  }

  private func finish(
    behind watch: WriteWatch, _ follower: FollowerHash?, _ pump: Pump, size: UInt64
  ) throws -> ImageChecksum? {
    guard !watch.mustReadAgain else {
      watch.stop()
      follower?.stop()
      let flow = pump.flow
      let again = FollowerHash(watch, job: job, moved: { flow.sign() }, mark: { $0 < size ? size : nil })
      try again.start { _ in }
      return try again.finish(size: size)
    }
    watch.finish(size: size)
    return try follower?.finish(size: size)
  }

  private func compare(_ checksum: ImageChecksum, _ stacks: OpenedStacks) throws {
    if let expected = order.pipeline.expectedChecksum?.lowercased(), expected != checksum.sha512 {
      throw Fault(
        .checksumMismatch, "the image's SHA-512 is \(checksum.sha512), expected was \(expected)",
        hint: "the source holds other content than the checksum was made of, or was damaged")
    }
    let claimed = stacks.from.lowest.info.sha512
    if let claimed, !stacks.from.hasFilters, !stacks.to.hasFilters, claimed != checksum.sha512 {
      throw Fault(
        .checksumMismatch,
        "the image's SHA-512 is \(checksum.sha512), but \(stacks.from.lowest.name) says that it is \(claimed)",
        hint: "the source was damaged or changed")
    }
  }

  private func commit(_ copied: Copied, _ stacks: OpenedStacks, bytesCopied: UInt64) throws -> JobResult {
    try checkSourceStayed(stacks)
    job.phase.enter("committing")
    for device in stacks.to.devices.reversed() {
      let size = device === stacks.to.lowest ? copied.imageSize : copied.size
      try device.commit(size: size, checksum: copied.checksum)
    }
    for device in stacks.to.devices.reversed() {
      do { try device.refreshInfo() } catch { job.log(.warning, "after the commit: \(error)") }
    }
    try job.checkRecords()
    let stages = stacks.from.devices.map(\.name) + stacks.to.devices.reversed().map(\.name)
    return JobResult(
      size: Int64(copied.imageSize), checksum: copied.checksum?.sha512, bytesCopied: Int64(bytesCopied),
      values: job.mergedResults(of: stages))
  }

  /// What a checksum was inherited from, or a checkpoint rests on, must be what it was when it was opened.
  private func checkSourceStayed(_ stacks: OpenedStacks) throws {
    let lowest = stacks.from.lowest
    let before = (lowest.info.identity, lowest.info.sha512)
    try lowest.refreshInfo()
    guard before == (lowest.info.identity, lowest.info.sha512) else {
      throw Fault(.sourceChanged, "\(lowest.name) changed while it was copied", retry: .transient)
    }
  }
}
