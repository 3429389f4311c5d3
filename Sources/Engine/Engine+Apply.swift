public import DroverModel
import ChildProtocol
import LinuxSystem
import Planner

extension Engine {
  /// Creates or updates what the document asks for, and queues the job that brings it about.
  ///
  /// The same document again is `unchanged`, also where the object has failed: `retry` of its job tries again, and a
  /// corrected document starts over. A dry run checks the same, up to the worker's plan and the space it needs, and
  /// changes nothing.
  public func apply(_ document: JSONValue, options: ApplyOptions, by caller: Caller) async throws -> ApplyOutcome {
    guard phase != .stopping else { throw Fault(.conflict, "the daemon is ending", retry: .transient) }
    let environment = environment
    var document = try ResourceDocument(
      document, validation: options.validation, randomSuffix: { environment.hexadecimal(8) })
    try await checkStages(document.spec)
    let found = try await foundBackup(for: document)
    let jobID = newJobID()
    let said = await saidOfName(of: document, job: jobID)
    // From here to the commit nothing else happens in the engine.
    let naming = try name(&document, said)
    var decision = try decide(document, job: jobID, found)
    decision.naming = naming.map { $0.record(for: decision.record.uid, job: decision.job?.job.id) }
    let warnings = document.warnings + (naming?.decision.warning.map { [$0] } ?? [])
    if options.dryRun {
      let plan = try await dryRun(decision)
      let doubts = await doubts(about: decision)
      return ApplyOutcome(
        result: decision.result, object: decision.record.resource, warnings: warnings + doubts, plan: plan)
    }
    try carryOut(decision, by: caller)
    if let naming, let job = decision.job { report(naming, job.job.id) }
    return ApplyOutcome(result: decision.result, object: view(try existing(document.key)), warnings: warnings)
  }

  /// What applying a document comes to.
  private struct Decision {
    var result: ApplyOutcome.Result
    var record: ResourceRecord
    var job: JobRecord?
    /// A target whose store is another one now.
    var isElsewhere = false
    /// Jobs that wait for a change may go on.
    var wakes = false
    /// What a policy said of the name.
    var naming: DecisionRecord?
    /// Values to be sealed.
    var secret: Secret.Spec?
    /// What must be there before it, and is made on this occasion.
    var implied: [ImpliedObject] = []
  }

  private func carryOut(_ decision: Decision, by caller: Caller) throws {
    let key = decision.record.key
    var changes: [CatalogChange] = []
    switch decision.result {
    case .created: changes = [.putResource(decision.record), event(.created, key, message: "created\(caller.suffix)")]
    case .configured:
      changes = [.putResource(decision.record), event(.configured, key, message: "configured\(caller.suffix)")]
    case .unchanged: changes = decision.record == resources[key] ? [] : [.putResource(decision.record)]
    }
    if let job = decision.job { changes.append(.putJob(job)) }
    for object in decision.implied {
      changes += [
        .putResource(object.record), .putJob(object.job),
        event(.created, object.record.key, job: object.job.job.id, message: "created for \(key)\(caller.suffix)"),
      ]
    }
    // What mirrors the store that the target was has no place in the one that it is.
    let mirrors = decision.isElsewhere ? self.mirrors(of: key.name) : []
    if decision.isElsewhere { changes.append(.deleteStoreObjects(target: key.name)) }
    for mirror in mirrors {
      changes += [.deleteResource(mirror), event(.deleted, mirror, message: "forgotten with the store of \(key)")]
    }
    if let naming = decision.naming {
      changes.append(.addDecision(naming))
      if let warning = naming.decision.warning {
        changes.append(event(.warning, key, job: naming.job, message: warning))
      }
    }
    if let secret = decision.secret, let reference = SecretReference(key) {
      changes.append(.putSecret(reference, try seal(secret.values, of: reference)))
    }
    try catalog.commit(changes)
    resources[key] = decision.record
    for mirror in mirrors { resources[mirror] = nil }
    if let naming = decision.naming { remember(naming) }
    if let reference = SecretReference(key) {
      knownSecrets[reference] = nil
      nameSecretsOfImages()
    }
    if let job = decision.job { machines[job.job.id] = machine(job) }
    for object in decision.implied {
      resources[object.record.key] = object.record
      machines[object.job.job.id] = machine(object.job)
    }
    if decision.wakes { wakeJobs(about: key) }
    if let reference = SecretReference(key), decision.result != .unchanged { credentialsChanged(reference) }
    if key.kind == .backupTarget { outdateLook(at: key.name) }
    touch(key)
    changed.raise()
    wanted.raise()
  }

  /// - Parameters:
  ///   - job: Id of the job of a new object.
  ///   - found: What the store says of the backup that a volume is restored from.
  private func decide(
    _ document: ResourceDocument, job id: String, _ found: [String: JSONValue]?
  ) throws -> Decision {
    if let old = resources[document.key] {
      guard !old.deleting else {
        throw Fault(
          .conflict, "\(document.key) is being deleted", hint: "drover wait \(document.key) --for deleted")
      }
      return try change(old, document, found)
    }
    var record = ResourceRecord(
      key: document.key, uid: newUID(), namespace: document.resource.metadata.namespace,
      labels: document.resource.metadata.labels ?? [:], spec: document.resource.spec, status: [:], generation: 1,
      createdAt: environment.now(), deleting: false)
    var implied: [ImpliedObject] = []
    let job = try begin(&record, document.spec, id, found, &implied)
    return Decision(
      result: .created, record: record, job: job,
      wakes: document.kind == .backupTarget || document.kind == .secret, secret: document.secret, implied: implied)
  }

  /// As below, for what needs nothing beside it.
  func begin(_ record: inout ResourceRecord, _ spec: ResourceSpec, _ id: String) throws -> JobRecord? {
    var implied: [ImpliedObject] = []
    return try begin(&record, spec, id, nil, &implied)
  }

  /// First status of a new object, and its job where one can be named already.
  private func begin(
    _ record: inout ResourceRecord, _ spec: ResourceSpec, _ id: String?, _ found: [String: JSONValue]?,
    _ implied: inout [ImpliedObject]
  ) throws -> JobRecord? {
    let name = record.key.name
    switch spec {
    case .backingImage(let spec):
      let uuid = environment.hexadecimal(8)
      record.status = BackingImage.Status(uuid: uuid).fields
      return try imageJob(&record, spec, uuid: uuid, id)
    case .backupBackingImage(let spec):
      record.status = BackupBackingImage.Status(backingImage: spec.image).fields
      return try backupJob(&record, spec, id)
    case .backupTarget(let spec):
      record.status = BackupTarget.Status().fields
      var facts = facts
      facts.targets[name] = spec.url
      facts.credentials[name] = spec.credentials
      return newJob(.probe, owner: record.key, planned: try Planner(facts).probe(target: name))
    case .secret(let spec):
      try keyring.checkSealing(sealed: try catalog.holdsSecrets())
      record.status = Secret.Status(keys: spec.values.keys).fields
      return nil
    case .volume(let spec): return try begin(volume: &record, spec, found, id, &implied)
    case .snapshot: return try begin(snapshot: &record, id)
    case .backup: return try begin(volumeBackup: &record, id, &implied)
    }
  }

  private func imageJob(
    _ record: inout ResourceRecord, _ spec: BackingImage.Spec, uuid: String, _ id: String? = nil
  ) throws -> JobRecord? {
    let plan = try Planner(facts).plan(image: record.key.name, uuid: uuid, spec: spec)
    let kind: Job.Kind =
      switch spec.source {
      case .download: .download
      case .upload: .upload
      case .clone: .clone
      case .restore: .restore
      case .exportFromVolume: .export
      case .stage: .import
      }
    guard let job = queued(plan, kind, record.key, id) else {
      var status = BackingImage.Status(record.status)
      status.state = .pending
      if case .awaitingContent(let reason) = plan { status.message = reason }
      record.status = status.fields
      return nil
    }
    record.status = ImageController.reflect(record.status, job)
    return job
  }

  private func backupJob(
    _ record: inout ResourceRecord, _ spec: BackupBackingImage.Spec, _ id: String? = nil
  ) throws -> JobRecord? {
    let planner = Planner(facts)
    let plan = try planner.plan(backup: record.key.name, spec: spec)
    let job: JobRecord
    if let queued = queued(plan, .backup, record.key, id) {
      job = queued
    } else {
      // A record of what lies in the store already: a look there fills its status.
      let target = try targetSpec(try existing(ResourceKey(.backupTarget, spec.targetName)))
      let url = ImageBackupURL(target: target.url, image: spec.image)
      job = newJob(.inspect, owner: record.key, planned: planner.inspection(of: url, owner: record.key), id: id)
    }
    record.status = BackupController.reflect(record.status, job)
    return job
  }

  func queued(_ plan: Plan, _ kind: Job.Kind, _ owner: ResourceKey, _ id: String?) -> JobRecord? {
    switch plan {
    case .job(let planned): newJob(kind, owner: owner, planned: planned, id: id)
    case .waiting(let key, let reason): newJob(kind, owner: owner, reads: [key], note: reason, id: id)
    case .awaitingContent, .nothing: nil
    }
  }

  // MARK: An object that is there

  private func change(
    _ old: ResourceRecord, _ document: ResourceDocument, _ found: [String: JSONValue]?
  ) throws -> Decision {
    var record = old
    record.namespace = document.resource.metadata.namespace
    record.labels = document.resource.metadata.labels ?? [:]
    record.spec = document.resource.spec
    if old.key.kind == .backup { try settle(backup: &record, old) }
    let changes = try changes(old, document)
    if let refusal = changes.lazy.compactMap(\.refusal).first { throw refusal }
    let same = changes.isEmpty && record.labels == old.labels && record.namespace == old.namespace
    if same, case .backupBackingImage(let spec) = document.spec, spec.userCreated,
      BackupBackingImage.Status(old.status).damagedBlocks != nil, unfinishedJobs(of: old.key).isEmpty
    {
      // The store has lost blocks of it since: they are brought there again.
      var decision = Decision(result: .configured, record: record)
      decision.job = try backupJob(&decision.record, spec)
      return decision
    }
    if same, old.key.kind != .backupTarget { return Decision(result: .unchanged, record: old) }
    if same {
      // Who applies a target again may have mended it.
      record.status = TargetController.applied(old.status)
      return Decision(result: .unchanged, record: record, job: try probe(old), wakes: true)
    }
    record.generation += 1
    var decision = Decision(result: .configured, record: record, wakes: true)
    let restarts = changes.contains(where: \.restartsWork)
    switch document.spec {
    case .backingImage(let spec) where restarts:
      try checkNothingRuns(for: old.key)
      decision.job = try imageJob(&decision.record, spec, uuid: BackingImage.Status(old.status).uuid)
    case .backupBackingImage(let spec) where restarts:
      try checkNothingRuns(for: old.key)
      decision.job = try backupJob(&decision.record, spec)
    case .backupBackingImage(let spec):
      let asksForSync = changes.contains { $0.field == "spec.syncRequestedAt" }
      if asksForSync, unfinishedJobs(of: old.key).isEmpty {
        let target = try targetSpec(try existing(ResourceKey(.backupTarget, spec.targetName)))
        let url = ImageBackupURL(target: target.url, image: spec.image)
        decision.job = newJob(.inspect, owner: old.key, planned: Planner(facts).inspection(of: url, owner: old.key))
      }
    case .backupTarget(let spec):
      var facts = facts
      facts.targets[old.key.name] = spec.url
      facts.credentials[old.key.name] = spec.credentials
      let isElsewhere = changes.contains { $0.field == "spec.backupTargetURL" }
      decision.isElsewhere = isElsewhere
      decision.record.status = isElsewhere ? BackupTarget.Status().fields : TargetController.applied(old.status)
      if unfinishedJobs(of: old.key).allSatisfy(\.kind.tendsStore) {
        decision.job = newJob(.probe, owner: old.key, planned: try Planner(facts).probe(target: old.key.name))
      }
    case .secret(let spec):
      decision.record.status = Secret.Status(keys: spec.values.keys).fields
      decision.secret = spec
    case .volume where restarts, .snapshot where restarts, .backup where restarts:
      try checkNothingRuns(for: old.key)
      decision.job = try begin(&decision.record, document.spec, nil, found, &decision.implied)
    case .backingImage, .volume, .snapshot, .backup: break
    }
    return decision
  }

  private func changes(_ old: ResourceRecord, _ document: ResourceDocument) throws -> [SpecChange] {
    let name = old.key.name
    switch document.spec {
    case .backingImage(let new):
      let status = BackingImage.Status(old.status)
      return try imageSpec(old).changes(to: new, name: name, state: status.state, checksum: status.checksum)
    case .backupBackingImage(let new):
      let status = BackupBackingImage.Status(old.status)
      return try backupSpec(old).changes(to: new, name: name, state: status.state)
    case .backupTarget(let new):
      return try targetSpec(old).changes(to: new, name: name, dependents: dependents(of: old.key))
    case .secret(let new):
      guard let reference = SecretReference(old.key) else { return [] }
      let kept = Secret.Spec(
        type: old.spec["type"]?.string ?? new.type, values: try openValues(of: reference))
      return kept.changes(
        to: new, reference, dependents: images(needing: reference) + volumes(needing: reference))
    case .volume(let new):
      let status = Volume.Status(old.status)
      return try volumeSpec(old).changes(
        to: new, name: name, isMade: status.robustness != .faulted || status.path != nil)
    case .snapshot(let new):
      let status = Snapshot.Status(old.status)
      return try snapshotSpec(old).changes(to: new, name: name, isMade: status.readyToUse || status.error.isEmpty)
    case .backup(let new):
      return try volumeBackupSpec(old).changes(
        to: new, name: name, state: BackupBackingImage.State(inStatus: old.status))
    }
  }

  private func probe(_ target: ResourceRecord) throws -> JobRecord? {
    guard unfinishedJobs(of: target.key).allSatisfy(\.kind.tendsStore) else { return nil }
    return newJob(.probe, owner: target.key, planned: try Planner(facts).probe(target: target.key.name))
  }

  private func checkNothingRuns(for key: ResourceKey) throws {
    guard let job = unfinishedJobs(of: key).first else { return }
    throw Fault(.conflict, "\(job.id) still works for \(key)", hint: "drover job cancel \(job.id)")
  }

  // MARK: Dry run

  /// Plans what would be queued by a worker, and sees whether there is room. Nil where no job could start yet.
  private func dryRun(_ decision: Decision) async throws -> JobPlan? {
    guard let job = decision.job, !job.job.pipeline.from.isEmpty, !job.job.kind.isTask else { return nil }
    let plan = try await planned(by: job.job)
    var ledger = ledger
    do { try ledger.admit(job.job.id, plan.space, room: SpaceLedger.room, unwritten: unwritten) } catch {
      // What other jobs hold now may be free when this one starts.
      if error.retry == .never { throw Fault(error.code, error.message, hint: "free some space first") }
    }
    return plan
  }

  /// What would be taken, and may still come to nothing: a target that can't be used now, a job that has to wait.
  private func doubts(about decision: Decision) async -> [String] {
    guard let job = decision.job else { return [] }
    if let note = job.note { return ["would wait: \(note)"] }
    guard job.job.kind == .probe else { return [] }
    do {
      let problem = TargetController.problem(in: try await answer(to: job.job.pipeline).values)
      return problem.map { ["can't be used now: \($0.message)"] } ?? []
    } catch {
      return ["could not be looked at: \((error as? Fault)?.message ?? "\(error)")"]
    }
  }

  /// A stage of a plugin, as source or filter, must be there: a name that is mistyped is found here, not by a job.
  private func checkStages(_ spec: ResourceSpec) async throws {
    if case .volume = spec {
      guard try await plugins().flatMap(\.stages).contains(where: { $0.name == "volume-task" }) else {
        throw Fault(
          .unknownStage, "no plugin has a stage \"volume-task\", without which there are no volumes",
          hint: "drover plugin list shows what is loaded, and why not")
      }
    }
    guard case .backingImage(let spec) = spec else { return }
    var wanted: [(name: String, role: Pipeline.Role)] = spec.filters.map { ($0.stage, .filter) }
    if case .stage(let name, _) = spec.source { wanted.append((name, .source)) }
    guard !wanted.isEmpty else { return }
    let stages = try await plugins().flatMap(\.stages)
    for (name, role) in wanted where !stages.contains(where: { $0.name == name && $0.roles.contains(role) }) {
      var known = stages.filter { $0.roles.contains(role) }.map(\.name)
      if role == .source { known = known.filter { $0 != "save" } }
      let nearest = nearestName(to: name, among: known).map { "; did you mean \($0)?" } ?? ""
      throw Fault(
        .unknownStage,
        role == .source
          ? "spec.sourceType: no plugin has a source stage \"\(name)\"\(nearest)"
          : "spec.filters: no plugin has a filter stage \"\(name)\"\(nearest)",
        hint: known.isEmpty ? "drover plugin list" : "there are \(Set(known).sorted().joined(separator: ", "))")
    }
  }
}

extension ResourceDocument {
  fileprivate var secret: Secret.Spec? {
    if case .secret(let spec) = spec { spec } else { nil }
  }
}
