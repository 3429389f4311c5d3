import ChildProtocol
import DroverModel
import FoundationEssentials
import LinuxSystem

/// Takes checkpoints while the copy runs: the mark, then the sink's flush, then the tokens, then the message, in this
/// order.
final class CheckpointKeeper: Sendable {
  struct Pace: Sendable {
    /// Both must have passed since the last one …
    var seconds: Double = 2
    var bytes: UInt64 = 64 << 20
    /// … or so much time with any progress, so that little is lost on a slow network.
    var longestSeconds: Double = 5
  }

  private struct State {
    var isBusy = false
    var lastTime = BootClock.seconds()
    var lastOffset: UInt64
    var isPossible: Bool
  }

  private let digest: String
  private let identities: [String]
  private let top: any BlockDevice
  /// In the order of the pipeline's `to`.
  private let devices: [StageDevice]
  private let pace: Pace
  private let job: JobContext
  private let state: Monitor<State>

  init(from: DeviceStack, to: DeviceStack, digest: String, start: UInt64, pace: Pace, job: JobContext) {
    self.digest = digest
    self.pace = pace
    self.job = job
    identities = from.identities + to.identities
    top = to.top
    devices = to.devices.reversed()
    let isPossible =
      from.lowest.info.identity != nil && to.devices.allSatisfy { $0.calls.contains(.checkpoint) }
    state = Monitor(State(lastOffset: start, isPossible: isPossible))
  }

  /// Called by the pump's threads after each claim; one of them does the work while the others go on.
  func takeIfDue(_ flow: Flow) throws {
    let now = BootClock.seconds()
    let isMine = state.withLock { state in
      let passed = now - state.lastTime
      guard state.isPossible, !state.isBusy, passed >= min(pace.seconds, pace.longestSeconds) else { return false }
      let copied = flow.lowWater - min(flow.lowWater, state.lastOffset)
      guard copied > 0, passed >= pace.longestSeconds || copied >= pace.bytes else { return false }
      state.isBusy = true
      return true
    }
    if isMine { try take(flow) }
  }

  /// When no other thread uses the devices: whatever the pace says.
  func takeLast(_ flow: Flow) throws {
    let isDue = state.withLock { state in
      state.isBusy = true
      return state.isPossible && flow.lowWater > state.lastOffset
    }
    if isDue { try take(flow) }
  }

  private func take(_ flow: Flow) throws {
    let mark = flow.lowWater
    try top.flush()
    var tokens: [String] = []
    for device in devices {
      guard let token = try device.checkpoint(offset: mark) else {
        state.withLock { $0.isPossible = false }
        job.log(.debug, "stage \(device.name) can't be continued, so there are no checkpoints")
        return
      }
      tokens.append(Data(token).base64EncodedString())
    }
    job.report(
      .checkpoint(
        Checkpoint(
          pipelineDigest: digest, identities: identities, offset: Int64(mark), tokens: tokens)))
    state.withLock { state in
      state.isBusy = false
      state.lastTime = BootClock.seconds()
      state.lastOffset = mark
    }
  }
}
