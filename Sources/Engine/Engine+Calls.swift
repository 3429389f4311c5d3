import ChildProtocol
public import DroverModel
import LinuxSystem
import Logging
import Planner
import Synchronization

// Short questions to a worker that are no jobs: nothing of them is in the catalog, and only a few run at once.

extension Engine {
  /// What the store says of one backup of an image or a volume, with the field names of a BackupBackingImage's status or of
  /// a Backup's.
  public func inspectBackup(url: String, by caller: Caller) async throws -> [String: JSONValue] {
    let planner = Planner(facts)
    let planned =
      VolumeBackupURL.isMeant(by: url)
      ? planner.inspection(of: try VolumeBackupURL(url, field: "url"))
      : planner.inspection(of: try ImageBackupURL(url, field: "url"))
    return try await answer(to: planned.pipeline).values
  }

  /// Every plugin file in the configured folders, with what it offers or why it is refused.
  public func plugins() async throws -> [PluginReport] {
    let folders = configuration.pluginFolders
    let files = try await blocking {
      try folders.flatMap { folder in
        try (Folder.listIfPresent(folder) ?? []).filter { $0.hasSuffix(".so") }.compactMap { name in
          try FileStatus.of("\(folder)/\(name)").map { PluginFile(path: "\(folder)/\(name)", status: $0) }
        }
      }
    }
    if let cache = pluginCache, cache.files == files { return cache.reports }
    let reports = try await inspect(files.map(\.path))
    pluginCache = PluginCache(files: files, reports: reports)
    return reports
  }

  /// One plugin file, wherever it lies. Absolute.
  public func inspectPlugin(_ path: String) async throws -> PluginReport {
    guard path.hasPrefix("/") else { throw Fault(.invalid, "the path of a plugin must be absolute: \(path)") }
    guard try await blocking({ try FileStatus.of(path) }) != nil else {
      throw Fault(.notFound, "there is no file \(path)")
    }
    guard let report = try await inspect([path]).first else {
      throw Fault(.internalError, "the worker said nothing of \(path)")
    }
    return report
  }

  private func inspect(_ paths: [String]) async throws -> [PluginReport] {
    guard !paths.isEmpty else { return [] }
    do {
      let said = try await calls.withTurn { try await call(.inspect(paths: paths), secrets: []) }
      for case .inspected(let reports) in said { return reports }
      throw Fault(.internalError, "the worker ended without an answer")
    } catch let fault as Fault where fault.code == .workerDied || fault.code == .hung {
      // One of them ends whoever loads it: then each in a worker of its own tells which.
      guard paths.count > 1 else {
        return [
          PluginReport(
            path: paths[0],
            refused: Fault(.pluginRefused, "plugin \(paths[0]): it can't even be looked at: \(fault.message)"))
        ]
      }
      var reports: [PluginReport] = []
      for path in paths { reports += try await inspect([path]) }
      return reports
    }
  }

  /// What a job's stages say they need.
  func planned(by job: Job) async throws -> JobPlan {
    let said = try await said(by: .plan, job.pipeline)
    for case .planned(let plan) in said { return plan }
    throw Fault(.internalError, "the worker ended without a plan")
  }

  /// Runs a task and returns its result.
  func answer(to pipeline: Pipeline) async throws -> JobResult {
    let said = try await said(by: .run, pipeline)
    for case .finished(let result) in said { return result }
    throw Fault(.internalError, "the worker ended without a result")
  }

  private func order(
    _ mode: JobOrder.Mode, _ pipeline: Pipeline, _ secrets: [OrderSecret], folder: String
  ) -> JobOrder {
    JobOrder(
      mode: mode, job: String(folder.split(separator: "/").last!), attempt: 1,
      pipeline: pipeline, jobFolder: folder, pluginFolders: configuration.pluginFolders,
      concurrency: configuration.concurrency, stallSeconds: configuration.stallSeconds,
      hangSeconds: configuration.hangSeconds, secretNames: secrets.map(\.name))
  }

  /// With a job folder for the time of the call.
  ///
  /// - Parameter files: What is to lie in the folder, by name; asked for when the call has its turn.
  private func said(
    by mode: JobOrder.Mode, _ pipeline: Pipeline, files: () throws -> [String: [UInt8]] = { [:] }
  ) async throws -> [WorkerReport] {
    try await calls.withTurn {
      let folder = layout.call(environment.hexadecimal(8))
      let files = try files()
      try await blocking {
        try Folder.create(folder, permissions: 0o750)
        for (name, bytes) in files { try Folder.writeDurably("\(folder)/\(name)", bytes) }
      }
      let result = await Result {
        let secrets = try secrets(for: pipeline)
        return try await call(
          .order(order(mode, pipeline, secrets, folder: folder)), secrets: secrets.map(\.bytes))
      }
      try? await blocking { try Folder.removeTree(folder) }
      return try result.get()
    }
  }

  /// Starts a worker, admits what it plans, and returns what it said when it has ended. Throws its fault.
  private func call(_ command: WorkerCommand, secrets: [SecretBytes]) async throws -> [WorkerReport] {
    guard phase != .stopping else { throw Fault(.conflict, "the daemon is ending", retry: .transient) }
    let (events, continuation) = AsyncStream<WorkerEvent>.makeStream()
    let launcher = environment.launcher
    let worker = try await blocking {
      try launcher.launch(command, secrets: secrets, descriptors: []) { event in
        if case .said(.progress) = event { return }
        if case .said(.log) = event { return }
        continuation.yield(event)
        if case .ended = event { continuation.finish() }
      }
    }
    let sleep = environment.sleep
    let patience = Double(configuration.hangSeconds)
    let timeout = Task {
      try await sleep(patience)
      worker.kill()
    }
    defer { timeout.cancel() }
    return try await withTaskCancellationHandler {
      var said: [WorkerReport] = []
      var failure: Fault?
      for await event in events {
        switch event {
        case .said(.planned(let plan)):
          said.append(.planned(plan))
          worker.send(.admitted)
        case .said(.failed(let fault)): failure = failure ?? fault
        case .said(let report): said.append(report)
        case .used: break
        case .ended(let status):
          if let failure { throw failure }
          guard said.contains(where: \.isAnswer) else {
            throw Fault(.workerDied, "the worker ended with \(status) before it had answered")
          }
        }
      }
      try Task.checkCancellation()
      return said
    } onCancel: {
      worker.kill()
    }
  }

  // MARK: Targets

  /// Looks at the stores whose time has come. What changed wakes the jobs that waited for it.
  func pollTargets() {
    for (key, record) in resources where key.kind == .backupTarget && !record.deleting {
      guard let spec = try? targetSpec(record), unfinishedJobs(of: key).allSatisfy(\.kind.tendsStore),
        !probing.contains(key.name)
      else {
        continue
      }
      let now = environment.now()
      let last = probed[key.name]
      guard last.map({ spec.pollSeconds > 0 && (now - $0 >= spec.pollSeconds || now < $0) }) ?? true else { continue }
      guard let planned = try? Planner(facts).sync(target: key.name) else { continue }
      probing.insert(key.name)
      Task { await look(at: record, planned.pipeline) }
    }
  }

  /// What is known of a target, or being found out just now, is of no use any more.
  func outdateLook(at name: String) {
    probed[name] = nil
    if probing.contains(name) { outdated.insert(name) }
    for machine in machines.values
    where machine.isWorking && machine.record.job.owner == ResourceKey(.backupTarget, name) {
      outdatedJobs.insert(machine.id)
    }
  }

  /// Asks what is new in a store; what is told on the way is noted in the run `id`.
  private func synced(
    _ target: ResourceRecord, _ pipeline: Pipeline, _ id: String
  ) async throws -> [String: JSONValue] {
    let said = try await said(by: .run, pipeline) {
      let run = try beginSync(target.key.name)
      syncs[id] = run
      return ["seen": try run.file]
    }
    var answer: [String: JSONValue]?
    for report in said {
      switch report {
      case .record(_, let kind, let value): syncs[id]?.note(kind, value)
      case .finished(let result): answer = result.values
      default: break
      }
    }
    guard let answer else { throw Fault(.internalError, "the worker ended without a result") }
    return answer
  }

  private func look(at target: ResourceRecord, _ pipeline: Pipeline) async {
    let key = target.key
    let id = "call-\(environment.hexadecimal(8))"
    let outcome = await Result { try await synced(target, pipeline, id) }
    let run = syncs.removeValue(forKey: id)
    probing.remove(key.name)
    probed[key.name] = environment.now()
    if outdated.remove(key.name) != nil {
      probed[key.name] = nil
      return pollTargets()
    }
    guard phase != .stopping, var current = resources[key], current.spec == target.spec else { return }
    let fault: Fault? =
      switch outcome {
      case .success(let answer): TargetController.problem(in: answer)
      case .failure(let error):
        error as? Fault ?? Fault(.targetUnreachable, "could not look at \(key): \(error)")
      }
    let wasAvailable = BackupTarget.Status(current.status).available
    let answer = (try? outcome.get()) ?? [:]
    current.status = TargetController.probed(
      current.status, fault, missing: TargetController.missing(in: answer), now: environment.now())
    do {
      if fault == nil, let run { try absorb(run, answer) }
      try update(current)
    } catch {
      logger.error("catalog write failed", metadata: ["target": "\(key.name)", "error": "\(error)"])
    }
    // A store may have been gone and back between two looks, and only a job has noticed.
    if fault == nil { wakeJobs(about: key, after: wasAvailable ? .targetUnreachable : nil) }
  }
}

/// Reports of plugin files, good as long as the files are the same.
struct PluginCache: Sendable {
  var files: [PluginFile]
  var reports: [PluginReport]
}

struct PluginFile: Sendable, Hashable {
  var path: String
  var status: FileStatus
}

extension WorkerReport {
  fileprivate var isAnswer: Bool {
    switch self {
    case .planned, .finished, .inspected: true
    default: false
    }
  }
}
