import CDroverPlugin
import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import Synchronization

/// Runs the fault matrix on one plugin and reports each step as it goes.
///
/// A step that kills the process is the business of whoever started it: it starts another that skips what is done.
final class PluginChecker: Sendable {
  private let order: CheckOrder
  private let secrets: [SecretBytes]
  private let activity: Activity
  private let say: @Sendable (WorkerReport) -> Void
  private let hung: @Sendable (Fault) -> Void
  private let scenes = Mutex(0)
  private let load: @Sendable () throws -> PluginImage
  private let ownsProcess: Bool

  /// - Parameters:
  ///   - ownsProcess: Nobody else opens and closes files here, so that what stays open is the plugin's.
  ///   - load: Nil loads the order's file.
  ///   - hung: See `Reporter`.
  init(
    _ order: CheckOrder, secrets: [SecretBytes], notes: CallNotes?, ownsProcess: Bool = true,
    load: (@Sendable () throws -> PluginImage)? = nil, say: @escaping @Sendable (WorkerReport) -> Void,
    hung: @escaping @Sendable (Fault) -> Void
  ) {
    self.order = order
    self.secrets = secrets
    self.say = say
    self.hung = hung
    let activity = Activity(notes: notes)
    self.activity = activity
    self.ownsProcess = ownsProcess
    let path = order.path
    self.load = load ?? { try PluginImage.load(path, activity) }
  }

  func run() {
    let job = JobContext(interruption: Interruption(), activity: activity) { _ in }
    let watchdog = Reporter(job: job, hangSeconds: Double(max(1, order.hangSeconds)), hung: hung)
    try? watchdog.start()
    let state = ProcessState.now
    var number = 0
    func step(_ stage: String, _ role: Pipeline.Role?, _ name: String, _ body: () throws -> CheckPassed) {
      number += 1
      guard number > order.skip else { return }
      say(.checkBegan(.init(stage: stage, role: role, name: name, outcome: .skipped)))
      say(.checked(Self.outcome(stage, role, name, body)))
    }

    var image: PluginImage?
    // Loaded again after a death, without a word about it.
    if order.skip > 0 { image = try? load() }
    step("", nil, "loads") {
      do { image = try load() } catch let fault as Fault { throw CheckFailure(fault.message) }
      return CheckPassed(1, "ABI \(image?.abi ?? "")")
    }
    let stages = (image?.stages ?? []).filter { order.stage == nil || order.stage == $0.name }
    if let image, stages.isEmpty, let wanted = order.stage {
      step("", nil, "stage \(wanted)") {
        throw CheckFailure("it has only \(image.stages.map(\.name).joined(separator: ", "))")
      }
    }
    for stage in stages {
      for subject in subjects(stage) {
        for one in CheckSteps(subject: subject).all {
          step(stage.name, subject.place.role, name(one.name, subject), one.run)
        }
      }
    }
    if image != nil, ownsProcess {
      step("", nil, "leaves the process alone") {
        if let changed = ProcessState.now.difference(from: state) { throw CheckFailure(changed) }
        return CheckPassed(1)
      }
    }
    say(.checkEnded(name: image?.name, version: image?.version))
  }

  private func name(_ step: String, _ subject: CheckSubject) -> String {
    switch subject.place {
    case .readingFilter: "reading: \(step)"
    case .writingFilter: "writing: \(step)"
    default: step
    }
  }

  private func subjects(_ stage: LoadedStage) -> [CheckSubject] {
    var places: [CheckSubject.Place] = []
    if stage.has(.source) { places.append(.source) }
    if stage.has(.filter), stage.device.pwrite != nil { places.append(.writingFilter) }
    if stage.has(.filter), stage.device.pread != nil { places.append(.readingFilter) }
    if stage.has(.sink) { places.append(.sink) }
    if stage.has(.task) { places.append(.task) }
    return places.filter { order.role == nil || order.role == $0.role }.map { place in
      CheckSubject(
        stage, place, order: order, secrets: secrets, activity: activity, ownsProcess: ownsProcess,
        nextScene: { [self] in
          scenes.withLock {
            $0 += 1
            return $0
          }
        }, hung: hung)
    }
  }

  private static func outcome(
    _ stage: String, _ role: Pipeline.Role?, _ name: String, _ body: () throws -> CheckPassed
  ) -> PluginCheck.Step {
    func step(_ outcome: PluginCheck.Outcome, _ cases: Int = 0, _ detail: String?) -> PluginCheck.Step {
      .init(stage: stage, role: role, name: name, outcome: outcome, cases: cases, detail: detail)
    }
    do {
      let passed = try body()
      return step(.passed, passed.cases, passed.detail)
    } catch let failure as CheckFailure {
      return step(.failed, 0, failure.detail)
    } catch let skipped as CheckSkipped {
      return step(.skipped, 0, skipped.detail)
    } catch let fault as Fault {
      return step(.failed, 0, "\(fault.code.rawValue): \(fault.message)")
    } catch {
      return step(.failed, 0, "\(error)")
    }
  }
}

/// What of the process belongs to everybody in it.
struct ProcessState {
  private var folder: String?
  private var mask: mode_t
  private var standard: [String?]
  private var brokenPipe: Bool

  static var now: ProcessState {
    let mask = umask(0)
    umask(mask)
    var action = sigaction()
    sigaction(SIGPIPE, nil, &action)
    return ProcessState(
      folder: getcwd(nil, 0).map { path in
        defer { free(path) }
        return String(cString: path)
      }, mask: mask, standard: (0...2).map(target),
      brokenPipe: unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == 1)
  }

  private static func target(_ descriptor: Int) -> String? {
    var text = [CChar](repeating: 0, count: 4096)
    let count = readlink("/proc/self/fd/\(descriptor)", &text, text.count)
    return count < 0 ? nil : String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  /// For people; nil where all is as it was.
  func difference(from before: ProcessState) -> String? {
    if folder != before.folder { return "it changed the working folder" }
    if mask != before.mask { return "it changed the file mode creation mask" }
    if standard != before.standard { return "it closed or replaced descriptor 0, 1 or 2" }
    if brokenPipe != before.brokenPipe { return "SIGPIPE is not ignored any more" }
    return nil
  }
}
