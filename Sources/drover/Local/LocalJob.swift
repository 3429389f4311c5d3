import ArgumentParser
import ChildProtocol
import ControlAPI
import DroverModel
import FoundationEssentials
import Glibc
import LinuxSystem
import LocalWorker

/// A pipeline that this program has carried out by a worker of its own, without a daemon and its catalog.
///
/// What may pass is tried again, as a daemon's job is, from the last checkpoint on where the stages can do that. When it does
/// not succeed, another worker removes what was left; a signal cancels it.
final class LocalJob {
  /// A secret value, which stage of `from + to` gets it, and by which name.
  struct GivenSecret {
    var stage: Int
    var name: String
    var bytes: SecretBytes
  }

  private let pipeline: Pipeline
  private let secrets: [GivenSecret]
  private let descriptors: [(parent: Int32, child: Int32)]
  private let subject: String
  private let display: any ProgressDisplay
  private let worker: LocalWorker
  private let folder: String
  private let identifier: String
  /// Nothing is touched before that.
  private var isAdmitted = false
  private var attempt = 1
  private var retries = LocalRetries()

  /// - Parameters:
  ///   - subject: For the progress display.
  ///   - descriptors: Number here, and in the worker.
  init(
    _ pipeline: Pipeline, secrets: [GivenSecret], descriptors: [(parent: Int32, child: Int32)] = [], subject: String,
    display: any ProgressDisplay
  ) throws {
    self.pipeline = pipeline
    self.secrets = secrets
    self.descriptors = descriptors
    self.subject = subject
    self.display = display
    let environment = ProcessInfo.processInfo.environment
    worker = try LocalWorker(path: DefaultPaths.besideThisProgram.workerPath, environment: environment)
    identifier = "local-\(UUID().uuidString.prefix(8).lowercased())"
    folder = "\(environment["TMPDIR"] ?? "/tmp")/drover-\(identifier)"
    do throws(SystemError) { try Folder.create(folder, permissions: 0o700) } catch {
      throw Fault(.io, "making a folder for the worker: \(error)", retry: .never)
    }
  }

  deinit { try? Folder.removeTree(folder) }

  /// Blocks until the result is in its place and durable.
  /// - Parameter record: Is told what the stages emit, in its order; after a failed attempt perhaps once more.
  /// - Throws: The Fault of the last failure, or the exit code of a signal.
  func run(record: (_ kind: String, _ value: JSONValue) throws -> Void) throws -> JobResult {
    Interrupts.watch()
    defer { display.clear() }
    while true {
      let fault: Fault
      do {
        let end = try carryOut(.run, record: record)
        switch end.answer {
        case .finished(let result): return result
        case .failed(let told): fault = told
        default: fault = Fault(.workerDied, "the worker ended with \(end.status)", retry: .transient)
        }
      } catch {
        discard()
        throw error
      }
      // Nobody can take back what a pipe has been given.
      let mayRepeat = descriptors.isEmpty || !isAdmitted
      guard mayRepeat, !Interrupts.isPending, let pause = retries.pause(after: fault) else {
        discard()
        try Interrupts.check()
        throw fault
      }
      display.note(
        subject, "attempt \(attempt): \(fault.message); next attempt in \(Int(pause.rounded(.up))) s")
      attempt += 1
      let end = monotonicSeconds() + pause
      while !Interrupts.isPending, monotonicSeconds() < end { Interrupts.pause(seconds: end - monotonicSeconds()) }
      if Interrupts.isPending {
        discard()
        try Interrupts.check()
      }
    }
  }

  /// Serves the reading side to the clients of descriptor 3 until a signal comes, which is no failure.
  /// - Parameter begun: Is called when clients are served.
  func serve(_ begun: () -> Void) throws {
    Interrupts.watch()
    let end = try carryOut(.serve) { kind, _ in if kind == "serving" { begun() } }
    if case .failed(let fault) = end.answer { throw fault }
    guard Interrupts.isPending else {
      throw Fault(.workerDied, "the worker ended with \(end.status)", retry: .never)
    }
  }

  private func carryOut(
    _ mode: JobOrder.Mode, record: (_ kind: String, _ value: JSONValue) throws -> Void
  ) throws -> LocalWorker.End {
    let order = JobOrder(
      mode: mode, job: identifier, attempt: attempt, pipeline: pipeline, jobFolder: folder,
      pluginFolders: DefaultPaths.besideThisProgram.pluginFolders, concurrency: Self.concurrency,
      stallSeconds: Self.stallSeconds, hangSeconds: Self.hangSeconds,
      checkpoint: mode == .run ? retries.checkpoint : nil,
      secretNames: secrets.map { JobOrder.SecretName(stage: $0.stage, name: $0.name) })
    var isCancelled = false
    return try worker.run(.order(order), secrets: secrets.map(\.bytes), descriptors: descriptors) { report in
      if mode != .discard, !isCancelled, Interrupts.isPending {
        isCancelled = true
        return .cancel
      }
      switch report {
      case .planned(let plan):
        let answer = Self.admission(of: plan)
        if case .admitted = answer { isAdmitted = true }
        return answer
      case .progress(let progress) where mode == .run: show(progress)
      case .checkpoint(let checkpoint) where mode == .run: retries.passed(checkpoint)
      case .record(_, let kind, let value): try record(kind, value)
      case .log(let level, let message) where level == .warning || level == .error: display.note(subject, message)
      default: break
      }
      return nil
    }
  }

  /// Best effort: what goes wrong here is told, and the failure before it counts.
  private func discard() {
    guard isAdmitted else { return }
    let end = try? carryOut(.discard) { _, _ in }
    if case .finished = end?.answer { return }
    var reason = end?.status ?? "it could not be started"
    if case .failed(let fault) = end?.answer { reason = fault.message }
    display.note(subject, "what was begun could not be removed: \(reason)")
  }

  private func show(_ progress: Job.Progress) {
    display.update(
      ProgressState(
        subject: subject, phase: progress.phase, percent: progress.percent, bytesDone: progress.bytesDone,
        bytesTotal: progress.bytesTotal, bytesPerSecond: Int64(progress.bytesPerSecond),
        etaSeconds: progress.etaSeconds.map { Int64($0) }, attempt: attempt))
  }

  /// What the stages need must be free now; nothing else is admitted beside it here.
  private static func admission(of plan: JobPlan) -> WorkerCommand {
    for need in plan.space {
      guard let free = try? Folder.freeBytes(need.path), free < UInt64(max(0, need.bytes)) else { continue }
      return .denied(
        Fault(
          .noSpace,
          "\(ByteSize.text(need.bytes)) are needed in \(need.path), but only \(ByteSize.text(Int64(clamping: free))) are free",
          hint: "free some space, or write to another file system"))
    }
    return .admitted
  }

  /// Blocks at once: a network wants more than a computer with few cores would get.
  private static var concurrency: Int { max(4, min(12, ProcessInfo.processInfo.activeProcessorCount)) }
  private static let stallSeconds = 30
  private static let hangSeconds = 600
}
