import DroverModel
import LinuxSystem
public import Logging
import Planner

/// The daemon's truth: resources and jobs, the queue, and the workers that run.
///
/// It is an actor on a Dispatch queue of its own, so that a decision, the commit of its row and its effect are one
/// synchronous step, and waiting for the disk holds no thread of Swift's pool. All calls may be made from any task; what
/// they throw is a `Fault`.
public actor Engine {
  nonisolated let configuration: EngineConfiguration
  nonisolated let environment: EngineEnvironment
  nonisolated let logger: Logger
  nonisolated let layout: StateLayout
  nonisolated let catalog: any CatalogStore
  /// Nil where there is no hooks folder.
  nonisolated let policies: Policies?
  nonisolated let keyring: Keyring
  /// Raised when a resource, a job or an event changed.
  nonisolated let changed = ChangeSignal()
  /// Raised when the queue or the house wants a look.
  nonisolated let wanted = ChangeSignal()
  nonisolated let startedAt: Double
  private nonisolated let executor = QueueExecutor(label: "drover.engine")
  /// Held as long as the engine lives.
  private let stateLock: OpenFile

  var resources: [ResourceKey: ResourceRecord] = [:]
  var machines: [String: JobMachine] = [:]
  var sessions: [String: WorkerSession] = [:]
  var logs: [String: JobLog] = [:]
  var ledger: SpaceLedger
  /// Events of jobs whose rows could not be written; they are tried again, in order.
  var backlog: [String: [JobEvent]] = [:]
  /// The worker's ends of the streams of transfers that have not started yet, with what they are to do.
  var streams: [String: WaitingStream] = [:]
  /// What policies decided, by the job's id; for an object without a job by its UID.
  var decisions: [String: [DecisionRecord]] = [:]
  /// Backup jobs whose labels are settled, by a policy or because none is asked.
  var labelled: Set<String> = []
  /// Backup jobs about whose labels a policy is being asked just now.
  var askedAbout: Set<String> = []
  /// Jobs that are over and whose folders may hold more than the log.
  var unswept: Set<String> = []
  /// Images whose files are being removed just now.
  var removing: Set<ResourceKey> = []
  /// When each target was looked at last; seconds since 1970.
  var probed: [String: Double] = [:]
  /// Targets that are being looked at just now: one that hangs keeps no other waiting.
  var probing: Set<String> = []
  /// Those of which something has changed while they are being looked at: what is found says nothing any more.
  var outdated: Set<String> = []
  /// Jobs that look at a target of which something has changed since they began.
  var outdatedJobs: Set<String> = []
  /// What tasks on volumes that run have told of their layers, by the job's id.
  var layerNotes: [String: LayerNotes] = [:]
  /// Looks at what stores hold that are under way, by the job's id or the call's folder.
  var syncs: [String: SyncRun] = [:]
  var pluginCache: PluginCache?
  /// What is known of Secrets that could be opened; forgotten with each change.
  var knownSecrets: [SecretReference: Facts.SecretFacts] = [:]
  /// Workers that answer questions which are no jobs.
  nonisolated let calls = Turnstile(places: 4)
  /// Specs of backups as they were read, with what they were read from.
  var backupSpecs: [ResourceKey: (fields: [String: JSONValue], spec: BackupBackingImage.Spec)] = [:]
  /// Seconds since 1970; 0: not yet.
  var eventsPruned = 0.0
  var phase = Phase.open

  enum Phase { case open, running, stopping }

  typealias JobEvent = @Sendable (inout JobMachine) throws -> [JobAction]

  public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

  /// Locks STATE, opens the catalog, takes jobs that were running back to pending, and makes the target `default`.
  ///
  /// Nothing runs before `run()`. Throws `conflict` where another daemon has STATE or a newer one wrote the catalog.
  public init(configuration: EngineConfiguration, logger: Logger) async throws {
    try await self.init(
      configuration: configuration, logger: logger, environment: .system(configuration))
  }

  init(configuration: EngineConfiguration, logger: Logger, environment: EngineEnvironment) async throws {
    self.configuration = configuration
    self.environment = environment
    self.logger = logger
    let layout = StateLayout(root: configuration.stateFolder)
    self.layout = layout
    keyring = Keyring(folder: layout.keys, credentials: configuration.environment["CREDENTIALS_DIRECTORY"])
    startedAt = environment.now()
    ledger = SpaceLedger(reserveBytes: configuration.reserveBytes)
    policies = Policies(configuration, environment, logger)
    (stateLock, catalog) = try await blocking {
      let lock = try layout.claim(pid: ownProcess)
      layout.sweep()
      try layout.checkCatalog()
      return (lock, try environment.openCatalog(layout.catalog))
    }
    try recover()
    do { try keyring.checkSealing(sealed: try catalog.holdsSecrets()) } catch {
      logger.error("secrets can't be opened", metadata: ["error": "\((error as? Fault)?.message ?? "\(error)")"])
    }
  }

  /// Reads the catalog and lets the state machines see that no worker runs any more.
  private func recover() throws {
    let kept = try catalog.load()
    resources = Dictionary(uniqueKeysWithValues: kept.resources.map { ($0.key, $0) })
    for record in kept.jobs { machines[record.job.id] = machine(record) }
    unswept = Set(machines.values.filter { $0.record.job.state.isFinal }.map(\.id))
    for decision in try catalog.decisions() { remember(decision) }
    let target = ResourceKey(.backupTarget, BackupTarget.defaultName)
    if resources[target] == nil {
      let record = ResourceRecord(
        key: target, uid: newUID(), namespace: nil, labels: [:],
        spec: ["backupTargetURL": .string(TargetURL(folder: layout.store).text)],
        status: BackupTarget.Status().fields, generation: 1, createdAt: environment.now(), deleting: false)
      try catalog.commit([.putResource(record), event(.created, target, message: "created")])
      resources[target] = record
    }
    let now = environment.now()
    for id in machines.keys.sorted() { try drive(id) { $0.recover(now: now) } }
  }

  func machine(_ record: JobRecord) -> JobMachine {
    JobMachine(
      record,
      policy: RetryPolicy(
        attempts: configuration.attempts, backoffMaxSeconds: configuration.backoffMaxSeconds,
        probeSeconds: configuration.probeSeconds),
      graceSeconds: configuration.cancelSeconds)
  }

  func event(_ type: Event.Kind, _ subject: ResourceKey, job: String? = nil, message: String) -> CatalogChange {
    .event(EventDraft(type: type, subject: subject, job: job, message: message, time: environment.now()))
  }

  /// A random UUID's text.
  func newUID() -> String {
    let digits = environment.hexadecimal(32)
    var parts: [Substring] = []
    var rest = Substring(digits)
    for length in [8, 4, 4, 4, 12] {
      parts.append(rest.prefix(length))
      rest = rest.dropFirst(length)
    }
    return parts.joined(separator: "-")
  }

  // MARK: What the planner is told

  var facts: Facts {
    var facts = Facts(stateFolder: layout.root)
    for (key, record) in resources {
      switch key.kind {
      case .backingImage:
        facts.images[key.name] = Facts.ImageFacts(BackingImage.Status(record.status))
      case .backupBackingImage:
        guard let spec = try? backupSpec(record) else { continue }
        facts.backups[key.name] = Facts.BackupFacts(
          image: spec.image, targetName: spec.targetName, state: BackupBackingImage.State(inStatus: record.status),
          checksum: record.status["checksum"]?.string, error: record.status["error"]?.string ?? "")
      case .backupTarget:
        guard let spec = try? targetSpec(record) else { continue }
        facts.targets[key.name] = spec.url
        facts.credentials[key.name] = spec.credentials
      case .secret:
        guard let reference = SecretReference(key) else { continue }
        facts.secrets[reference] = secretFacts(reference)
      case .volume, .snapshot: break
      case .backup: facts.volumeBackups[key.name] = volumeBackupFacts(record)
      case .job: break
      }
    }
    facts.volumes = volumeFacts()
    return facts
  }

  func imageSpec(_ record: ResourceRecord) throws -> BackingImage.Spec {
    try BackingImage.Spec.read(record.spec, validation: .ignore).spec
  }

  /// Remembered: with thousands of backups in a store it is asked for thousands of times at each look at the queue.
  func backupSpec(_ record: ResourceRecord) throws -> BackupBackingImage.Spec {
    if let known = backupSpecs[record.key], known.fields == record.spec { return known.spec }
    let spec = try BackupBackingImage.Spec.read(record.spec, name: record.key.name, validation: .ignore).spec
    if backupSpecs.count > 2 * resources.count + 100 { backupSpecs = [:] }
    backupSpecs[record.key] = (record.spec, spec)
    return spec
  }

  func targetSpec(_ record: ResourceRecord) throws -> BackupTarget.Spec {
    try BackupTarget.Spec.read(record.spec, validation: .ignore).spec
  }

  func existing(_ key: ResourceKey) throws -> ResourceRecord {
    guard let record = resources[key] else {
      throw Fault(.notFound, "\(key) does not exist", hint: "drover get \(key.kind.rawValue) lists what there is")
    }
    return record
  }
}
