import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization

/// The thread that reports progress a few times a second and watches for calls that hang.
final class Reporter: Sendable {
  private struct Copy {
    var flow: Flow?
    var total: UInt64?
  }
  private let job: JobContext
  private let hangSeconds: Double
  private let hung: @Sendable (Fault) -> Void
  private let copy = Mutex(Copy())
  private let isOver = Monitor(false)
  private let group = ThreadGroup()

  private static let beat = 0.25

  /// - Parameter hung: Called once, on the reporter's thread; it should end the process, since the thread that hangs
  ///   can't be ended.
  init(job: JobContext, hangSeconds: Double, hung: @escaping @Sendable (Fault) -> Void) {
    self.job = job
    self.hangSeconds = hangSeconds
    self.hung = hung
  }

  func start() throws {
    try group.start("reporter") { [self] in run() }
  }

  /// From now on progress is that of a copy.
  func follow(_ flow: Flow, total: UInt64?) { copy.withLock { $0 = Copy(flow: flow, total: total) } }

  /// Returns after the last report.
  func stop() {
    isOver.change { $0 = true }
    group.join()
  }

  private func run() {
    let began = BootClock.seconds()
    var meter = ProgressMeter()
    var sent: Job.Progress?
    var sentAt = 0.0
    var isHung = false
    while isOver.wait(atMost: Self.beat, { $0 ? true : nil }) == nil {
      let now = BootClock.seconds()
      if !isHung, let silent = job.activity.longestSilence(now: now), silent.seconds > hangSeconds {
        isHung = true
        hung(
          Fault(
            .hung, "\(silent.call.description), has given no sign of life for \(Int(silent.seconds)) s",
            hint: "hangTimeout says how long a call may be silent"))
      }
      let progress = measure(&meter, began: began, now: now)
      let hasMoved = sent.map { $0.bytesDone != progress.bytesDone || $0.phase != progress.phase } ?? true
      if hasMoved || now - sentAt >= 1 {
        job.report(.progress(progress))
        sent = progress
        sentAt = now
      }
    }
  }

  private func measure(_ meter: inout ProgressMeter, began: Double, now: Double) -> Job.Progress {
    let (flow, total) = copy.withLock { ($0.flow, $0.total) }
    let phase = job.phase.current
    if let flow {
      let (done, _, last) = flow.progress
      return meter.progress(phase: phase, done: done, total: total, lastConfirmed: last, now: now)
    }
    if let task = job.taskProgress.withLock({ $0 }) {
      let total = task.total == 0 ? nil : task.total
      return meter.progress(phase: phase, done: task.done, total: total, lastConfirmed: now, now: now)
    }
    return meter.progress(phase: phase, done: 0, total: nil, lastConfirmed: began, now: now)
  }
}
