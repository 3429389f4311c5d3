public import DroverModel
import LinuxSystem
import Logging
import Planner

extension Engine {
  /// Deletes an object and what belongs to it.
  ///
  /// - An image: its job is cancelled, its folder removed.
  /// - A backup: a job removes it from the store, which is returned; the object goes when that succeeded. Where the store
  ///   can't hold anything of it, or with `force` where the store can't be reached, only the record goes.
  /// - A volume, with its snapshots: a job removes its files. Its backups stay.
  /// - A snapshot: a job removes it from its volume.
  /// - A target: only the record; the store stays. With `force` the records of its backups go as well.
  /// - A Secret: its values are overwritten. With `force` also one that is needed, but can't be opened any more.
  ///
  /// Throws `in-use` while something depends on the object, also in the store, and `conflict` for the target `default` and
  /// for what is pinned.
  public func delete(_ key: ResourceKey, force: Bool, by caller: Caller) async throws -> Resource? {
    if key.kind == .backupBackingImage, !force, let record = resources[key], !record.deleting {
      try await checkDeletion(of: record)
    }
    return try deleteNow(key, force: force, by: caller)
  }

  private func deleteNow(_ key: ResourceKey, force: Bool, by caller: Caller) throws -> Resource? {
    if key.kind == .job {
      throw Fault(.invalid, "a job can't be deleted", hint: "drover job cancel \(key.name)")
    }
    var record = try existing(key)
    if key == ResourceKey(.backupTarget, BackupTarget.defaultName) {
      throw Fault(.conflict, "\(key) can't be deleted: backups go there that name no target")
    }
    if record.isPinned {
      throw Fault(.conflict, "\(key) can't be deleted: it is pinned", hint: "drover backup unpin \(key.name)")
    }
    let dependents = dependents(of: key)
    var records =
      key.kind == .backupTarget && force
      ? dependents.filter { $0.kind == .backupBackingImage || $0.kind == .backup } : []
    if key.kind == .backupTarget { records += mirrors(of: key.name) }
    let isLost = force && SecretReference(key).map { secretFacts($0).fault != nil } ?? false
    if !isLost, let refusal = dependents.first(where: { !records.contains($0) }) {
      let names = dependents.map(\.description).joined(separator: ", ")
      throw Fault(
        .inUse, "\(key) can't be deleted: it is in use by \(names)",
        hint: Self.hint(deleting: key.kind, neededBy: refusal.kind))
    }
    if record.deleting, !force { return try deletionJob(of: key) }

    record.deleting = true
    var changes: [CatalogChange] = [
      .putResource(record), event("deleting", key, message: "deletion asked for\(caller.suffix)"),
    ]
    for member in records {
      changes += [.deleteResource(member), event(.deleted, member, message: "forgotten with \(key)\(caller.suffix)")]
    }
    let job = try storeDeletion(of: record, force: force)
    if let job { changes.append(.putJob(job)) }
    try catalog.commit(changes)
    touch(key)
    resources[key] = record
    for member in records { resources[member] = nil }
    if let job { machines[job.job.id] = machine(job) }
    changed.raise()
    let now = environment.now()
    for id in unfinishedJobs(of: key).filter({ !$0.kind.removesOwner || (force && job == nil) }).map(\.id) {
      deliver(id) { try $0.cancel(now: now) }
    }
    if force, job == nil, key.kind == .backupBackingImage || key.kind == .backup,
      unfinishedJobs(of: key).allSatisfy({ $0.kind == .deleteBackup })
    {
      // The store is left as it is. A deletion there that was under way takes its record back when it ends, so the
      // record goes first.
      forget(key)
    } else {
      continueDeletion(key)
    }
    return try resources[key] == nil ? nil : deletionJob(of: key)
  }

  /// Throws `in-use` where backups of volumes in the store need this one. The job that deletes it looks again, under the
  /// store's lock; this look is so that whoever asks is told at once. What can't be told within a few seconds is left to the
  /// job.
  private func checkDeletion(of record: ResourceRecord) async throws {
    guard !record.isPinned, let spec = try? backupSpec(record),
      let target = resources[ResourceKey(.backupTarget, spec.targetName)], BackupTarget.Status(target.status).available,
      let planned = try? Planner(facts).deletionCheck(backup: record.key.name, spec: spec)
    else { return }
    let sleep = environment.sleep
    let fault: Fault? = await withTaskGroup(of: Fault?.self) { group in
      group.addTask {
        do {
          _ = try await self.answer(to: planned.pipeline)
          return nil
        } catch {
          return error as? Fault
        }
      }
      group.addTask {
        try? await sleep(Self.checkSeconds)
        return nil
      }
      defer { group.cancelAll() }
      return await group.next() ?? nil
    }
    if let fault, fault.code == .inUse { throw fault }
  }

  private static let checkSeconds = 10.0

  private static func hint(deleting kind: ResourceKind, neededBy dependent: ResourceKind) -> String {
    switch (kind, dependent) {
    case (.backupTarget, .backupBackingImage):
      "delete them first, or use --force, which forgets them and leaves the store as it is"
    case (.backingImage, .volume): "without it nobody could read the volume; delete that first"
    case (.secret, .backingImage): "without it nobody can open them again; delete them first, or give them another key"
    case (.secret, _): "delete them first, or give them another secret"
    default: "wait for the job, or cancel it"
    }
  }

  /// The job that removes what lies in the store, where there is one.
  private func deletionJob(of key: ResourceKey) throws -> Resource? {
    guard let job = unfinishedJobs(of: key).last(where: \.kind.removesOwner) else { return nil }
    return try resource(ResourceKey(.job, job.id))
  }

  /// The job that removes a backup from its store; nil where nothing of it can be there, or where it is to be left.
  private func storeDeletion(of record: ResourceRecord, force: Bool) throws -> JobRecord? {
    if record.key.kind == .backup { return try storeDeletion(ofVolumeBackup: record, force: force) }
    if record.key.kind == .volume || record.key.kind == .snapshot { return try layerDeletion(of: record) }
    guard record.key.kind == .backupBackingImage else { return nil }
    let spec = try backupSpec(record)
    let target = resources[ResourceKey(.backupTarget, spec.targetName)]
    let isAvailable = target.map { BackupTarget.Status($0.status).available } ?? false
    let jobs = machines.values.map(\.record).filter { $0.job.owner == record.key && $0.job.kind == .backup }
    let status = BackupBackingImage.Status(record.status)
    let state = status.state
    let mayBeThere =
      !spec.userCreated || state == .completed || state == .unknown || status.damagedBlocks != nil
      || jobs.contains { $0.leftovers }
    guard target != nil, mayBeThere, spec.userCreated || isAvailable, isAvailable || !force else { return nil }
    let running = unfinishedJobs(of: record.key).first { $0.kind == .deleteBackup }
    guard running == nil else { return nil }
    let plan = try Planner(facts).deletion(backup: record.key.name, spec: spec, force: force)
    return newJob(.deleteBackup, owner: record.key, planned: plan)
  }

  /// The job that removes a volume or a snapshot; nil where it is queued already.
  private func layerDeletion(of record: ResourceRecord) throws -> JobRecord? {
    guard !unfinishedJobs(of: record.key).contains(where: \.kind.removesOwner) else { return nil }
    let planner = Planner(facts)
    if record.key.kind == .volume {
      return newJob(.deleteVolume, owner: record.key, planned: try planner.removal(volume: record.key.name))
    }
    let spec = try snapshotSpec(record)
    // One whose volume is gone is gone with it.
    guard resources[ResourceKey(.volume, spec.volume)] != nil else { return nil }
    return newJob(
      .deleteSnapshot, owner: record.key, planned: try planner.deletion(snapshot: record.key.name, spec: spec))
  }

  /// What others made is in the store unless that is forgotten; of an own one, that nothing is there is no error.
  private func storeDeletion(ofVolumeBackup record: ResourceRecord, force: Bool) throws -> JobRecord? {
    let target = targetName(ofBackup: record).flatMap { resources[ResourceKey(.backupTarget, $0)] }
    let isAvailable = target.map { BackupTarget.Status($0.status).available } ?? false
    guard target != nil, isAvailable || !force else { return nil }
    guard !unfinishedJobs(of: record.key).contains(where: { $0.kind == .deleteBackup }) else { return nil }
    return newJob(.deleteBackup, owner: record.key, planned: try volumeDeletion(of: record))
  }

  /// The job that removes a volume's backup from its store.
  func volumeDeletion(of record: ResourceRecord) throws -> PlannedJob {
    guard let target = targetName(ofBackup: record), let volume = record.spec["volumeName"]?.string,
      let backup = record.storedBackupName
    else { throw Fault(.internalError, "\(record.key) does not say which backup of which volume it is") }
    return try Planner(facts).deletion(
      volumeBackup: record.key.name, target: target, volume: volume, backup: backup)
  }

  /// Takes the next step of a deletion that was asked for. Called again whenever a job of the object ends, and at start.
  func continueDeletion(_ key: ResourceKey) {
    guard let record = resources[key], record.deleting, !removing.contains(key) else { return }
    guard unfinishedJobs(of: key).isEmpty else { return wanted.raise() }
    let leftBehind = machines.values.filter { $0.record.job.owner == key && $0.record.leftovers && !$0.isWorking }
    // The folder of an image goes as a whole, and nothing else knows what is in a store.
    if key.kind == .backupBackingImage || key.kind == .backup, let first = leftBehind.map(\.id).min() {
      let failed = machines[first]!.record.failures >= JobMachine.discardAttempts
      if !failed { return deliver(first) { $0.clean() } }
    }
    // What ended before its job was queued: at start.
    if key.kind == .volume, unfinishedJobs(of: key).isEmpty, let job = try? layerDeletion(of: record),
      (try? catalog.commit([.putJob(job)])) != nil
    {
      machines[job.job.id] = machine(job)
      return wanted.raise()
    }
    guard key.kind == .backingImage else { return forget(key) }
    removing.insert(key)
    let uuid = BackingImage.Status(record.status).uuid
    Task {
      do {
        try await removeFiles(key.name, uuid)
        removing.remove(key)
        forget(key)
      } catch {
        removing.remove(key)
        logger.error("image files not removed", metadata: ["image": "\(key.name)", "error": "\(error)"])
        var record = record
        record.deleting = false
        try? update(record)
        try? catalog.commit([event(.warning, key, message: "could not remove its files: \(error)")])
      }
    }
  }

  /// Renames the folder out of the way, so that half an image is never taken for one, and removes it.
  private func removeFiles(_ name: String, _ uuid: String) async throws {
    let (folder, removed) = (layout.image(name, uuid), layout.removed(name, uuid))
    try await blocking {
      for unfinished in [".partial", ".removed.partial"] { try Folder.removeTree(folder + unfinished) }
      if try FileStatus.of(folder, followLinks: false) != nil { try Folder.rename(folder, removed) }
      try Folder.removeTree(removed)
    }
  }

  private func forget(_ key: ResourceKey) {
    do {
      let secret = SecretReference(key)
      try catalog.commit(
        [.deleteResource(key), event(.deleted, key, message: "deleted")] + (secret.map { [.deleteSecret($0)] } ?? [])
          + (key.kind == .backupTarget ? [.deleteStoreObjects(target: key.name)] : []))
      resources[key] = nil
      if let secret { knownSecrets[secret] = nil }
      changed.raise()
      wanted.raise()
    } catch {
      // It is tried again at the next start, or by the next delete.
      logger.error("deletion not written down", metadata: ["object": "\(key)", "error": "\(error)"])
    }
  }

  /// At start: deletions that a stop of the daemon cut short go on.
  func resumeDeletions() async {
    for key in resources.values.filter(\.deleting).map(\.key).sorted(by: { $0.name < $1.name }) {
      let now = environment.now()
      for id in unfinishedJobs(of: key).filter({ !$0.kind.removesOwner }).map(\.id) {
        deliver(id) { try $0.cancel(now: now) }
      }
      continueDeletion(key)
    }
  }
}
