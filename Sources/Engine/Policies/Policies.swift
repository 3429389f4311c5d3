import ChildProtocol
import DroverModel
import LinuxSystem
import Logging
import OpenSSL

/// The policy scripts of the hooks folder: which there are, which is asked for what, and what it answers.
///
/// The folder is looked at before each question. A file that changed takes effect once it parses and its top level ran;
/// until then the version before it is asked.
actor Policies {
  private let folder: HookFolder
  private let host: any PolicyHost
  private let limits: PolicyLimits
  private let logger: Logger
  private var shelf: [String: Hook] = [:]
  private var folderProblem: HookFile.Problem?
  private var reloading: Task<Void, Never>?

  /// One file.
  private struct Hook {
    /// Of the version that was inspected last, whatever came of it.
    var seen: FileStatus?
    /// How often that failed for want of time or of a process, which may have been the machine's fault. It is tried
    /// again, but not for ever.
    var misses = 0
    var version: Version?
    var problem: HookFile.Problem?
  }

  /// A script that passed.
  private struct Version {
    var script: PolicyScript
    var digest: String
    var points: [PolicyPoint]
  }

  init(folder: String, host: any PolicyHost, limits: PolicyLimits, logger: Logger) {
    self.folder = HookFolder(path: folder)
    self.host = host
    self.limits = limits
    self.logger = logger
  }

  /// What a script said, before anybody has looked whether it makes sense.
  struct Said: Sendable {
    var script: String
    var digest: String
    var output: JSONValue
    /// Why there is no output.
    var failure: String?
    var printed: String
  }

  /// Asks the file that handles the point. Nil where none does.
  func ask(_ point: PolicyPoint, _ context: JSONValue) async -> Said? {
    await refresh()
    guard let file = asked(point), let version = shelf[file]?.version else { return nil }
    let report = await host.answer(to: .ask(version.script, point, context: context, limits))
    var said = Said(script: file, digest: version.digest, output: .null, printed: "")
    switch report {
    case .answered(let output, let printed):
      said.output = output
      said.printed = printed
    case .failed(let failure, let printed):
      said.failure = failure.message
      said.printed = printed
    case .hello, .inspected: said.failure = "\(file): the process that runs it gave another answer"
    }
    if let failure = said.failure {
      logger.warning("policy failed", metadata: ["point": "\(point.rawValue)", "error": "\(failure)"])
    }
    return said
  }

  /// All files by name.
  /// - Parameter patience: Where looking at changes takes longer, what is known then.
  func files(withinSeconds patience: Double) async -> [HookFile] {
    let done = ChangeSignal()
    let seen = done.generation
    Task {
      await refresh()
      done.raise()
    }
    await done.wait(past: seen, atMost: patience, sleep: { try await Task.sleep(for: .seconds($0)) })
    return known
  }

  private var known: [HookFile] {
    let files = shelf.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }.map { name in
      let version = shelf[name]?.version
      let points = version?.points ?? []
      return HookFile(
        file: name, points: points.map(\.rawValue), asked: points.filter { asked($0) == name }.map(\.rawValue),
        digest: version?.digest, error: shelf[name]?.problem)
    }
    return (folderProblem.map { [HookFile(file: folder.path, error: $0)] } ?? []) + files
  }

  /// The last file that handles the point.
  private func asked(_ point: PolicyPoint) -> String? {
    shelf.filter { $0.value.version?.points.contains(point) == true }.keys
      .max { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  // MARK: Changes on disk

  /// Takes up what has changed up to now.
  private func refresh() async {
    while let reloading { await reloading.value }
    let task = Task { await self.reload() }
    reloading = task
    await task.value
  }

  private func reload() async {
    defer { reloading = nil }
    let folder = folder
    let looks: [HookFolder.Look]
    do {
      looks = try await blocking { try folder.look() }
      folderProblem = nil
    } catch {
      // Nobody knows who wrote what is there now. What was read before that is as good as it was.
      let problem = (error as? HookFolderProblem)?.problem ?? HookFile.Problem(message: "\(error)")
      if problem != folderProblem { warn(folder.path, problem) }
      folderProblem = problem
      return
    }
    for gone in Set(shelf.keys).subtracting(looks.map(\.file)) { shelf[gone] = nil }
    for look in looks { await take(look) }
  }

  private func take(_ look: HookFolder.Look) async {
    var hook = shelf[look.file] ?? Hook()
    defer { shelf[look.file] = hook }
    guard let stamp = look.stamp else {
      refuse(&hook, look.file, look.problem ?? .init(message: "can't be looked at"))
      hook.seen = nil
      return
    }
    if hook.seen != stamp { hook.misses = 0 }
    guard hook.seen != stamp || (1..<3).contains(hook.misses) else { return }
    let folder = folder
    let source: String
    do { source = try await blocking { try folder.read(look.file) } } catch {
      refuse(&hook, look.file, (error as? HookFolderProblem)?.problem ?? .init(message: "\(error)"))
      return
    }
    let script = PolicyScript(file: look.file, source: source)
    var limits = limits
    limits.deadlineMilliseconds *= 2
    switch await host.answer(to: .inspect(script, limits)) {
    case .inspected(let points):
      hook = Hook(
        seen: stamp,
        version: Version(script: script, digest: Self.digest(Array(source.utf8)), points: points))
      logger.info(
        "policy taken up",
        metadata: ["file": "\(look.file)", "points": "\(points.map(\.rawValue).joined(separator: ", "))"])
    case .failed(let failure, _):
      refuse(&hook, look.file, HookFile.Problem(line: failure.line, message: failure.message))
      hook.seen = stamp
      hook.misses = failure.reason == .process || failure.reason == .deadline ? hook.misses + 1 : 0
    case .hello, .answered:
      refuse(&hook, look.file, .init(message: "\(look.file): the process that runs it gave another answer"))
      hook.seen = stamp
    }
  }

  private func refuse(_ hook: inout Hook, _ file: String, _ problem: HookFile.Problem) {
    if hook.problem != problem { warn(file, problem) }
    hook.problem = problem
  }

  private func warn(_ file: String, _ problem: HookFile.Problem) {
    logger.warning("policy not taken up", metadata: ["file": "\(file)", "error": "\(problem.message)"])
  }

  /// SHA-512 in hexadecimal.
  static func digest(_ bytes: [UInt8]) -> String { bytes.withUnsafeBytes { hexadecimal(SHA512.hash($0)) } }
}
