public import DroverModel
import Logging
import Planner

// What others put into a store, or took away from it, becomes records of the catalog.

extension Engine {
  /// Looks what is new in a target's store. A look that is under way already is the one that is meant.
  public func syncTarget(_ name: String, by caller: Caller) throws -> Resource {
    guard phase != .stopping else { throw Fault(.conflict, "the daemon is ending", retry: .transient) }
    let key = ResourceKey(.backupTarget, name)
    guard !(try existing(key)).deleting else { throw Fault(.conflict, "\(key) is being deleted") }
    if let running = unfinishedJobs(of: key).first(where: { $0.kind == .sync }) {
      deliver(running.id) { $0.wake() }
      return try resource(ResourceKey(.job, running.id))
    }
    let job = newJob(.sync, owner: key, planned: try Planner(facts).sync(target: name))
    try catalog.commit([.putJob(job), event("asked", key, job: job.job.id, message: "sync\(caller.suffix)")])
    machines[job.job.id] = machine(job)
    changed.raise()
    wanted.raise()
    return try resource(ResourceKey(.job, job.job.id))
  }

  /// Notes what is known of a store now.
  func beginSync(_ target: String) throws -> SyncRun {
    let url = try targetSpec(try existing(ResourceKey(.backupTarget, target))).url
    let index = try catalog.storeObjects(target: target)
    var seen: [StoredName: String] = [:]
    for (name, held) in backups(at: url) where held.targetName == target && held.isMirror {
      let isKnown = held.record.status["state"]?.string != BackupBackingImage.State.unknown.rawValue
      seen[name] = isKnown ? index[name.path] ?? "" : ""
    }
    return SyncRun(target: target, url: url, seen: seen, index: Set(index.keys))
  }

  /// Drover itself changes the backup that the object is of: looks that are under way have nothing to say of it.
  func touch(_ key: ResourceKey) {
    guard !syncs.isEmpty, let record = resources[key] else { return }
    let name: StoredName
    let target: String
    switch key.kind {
    case .backupBackingImage:
      guard let spec = try? backupSpec(record) else { return }
      (name, target) = (.image(spec.image), spec.targetName)
    case .backup:
      guard let backup = record.storedBackupName, let volume = record.spec["volumeName"]?.string,
        let known = targetName(ofBackup: record)
      else { return }
      (name, target) = (.backup(backup, volume: volume), known)
    default: return
    }
    let url = resources[ResourceKey(.backupTarget, target)].flatMap { try? targetSpec($0) }?.url
    for (id, run) in syncs where url == run.url { syncs[id]?.touched.insert(name) }
  }

  /// Objects that only mirror what lies in a target's store: they go with it, and come back with it.
  func mirrors(of target: String) -> [ResourceKey] {
    resources.values.filter { record in
      switch record.key.kind {
      case .backup: !record.isOwnBackup && targetName(ofBackup: record) == target
      case .backupBackingImage:
        (try? backupSpec(record)).map { $0.targetName == target && !$0.userCreated && !record.deleting } ?? false
      default: false
      }
    }.map(\.key).sorted { $0.description < $1.description }
  }

  /// Takes over what a look has found: makes records of backups that others made, and forgets those that are gone. All of
  /// it is one commit.
  func absorb(_ run: SyncRun, _ answer: [String: JSONValue]) throws {
    guard TargetController.problem(in: answer) == nil else { return }
    guard let target = resources[ResourceKey(.backupTarget, run.target)], !target.deleting,
      (try? targetSpec(target))?.url == run.url
    else { return }
    var absorption = Absorption(run: run, held: backups(at: run.url), busy: busyObjects())
    for found in run.found where !run.touched.contains(found.name) { absorb(found, into: &absorption) }
    if answer["vanished"]?.bool == true {
      let reason = "the store of backuptarget/\(run.target) shows nothing at all"
      for name in run.seen.keys.sorted() { doubt(name, reason, &absorption) }
    } else {
      for name in run.gone { forget(name, &absorption) }
    }
    let kept = Set(run.seen.keys).union(run.found.map(\.name)).map(\.path)
    for path in run.index.subtracting(kept).sorted() {
      absorption.changes.append(.deleteStoreObject(target: run.target, path: path))
    }
    if !absorption.summary.isEmpty {
      absorption.changes.append(event("synced", target.key, message: absorption.summary))
    }
    try catalog.commit(absorption.changes)
    for record in absorption.records { resources[record.key] = record }
    for key in absorption.removed { resources[key] = nil }
    guard !absorption.changes.isEmpty else { return }
    changed.raise()
    wanted.raise()
  }

  /// What is to be committed of one look.
  private struct Absorption {
    var run: SyncRun
    var held: [StoredName: HeldBackup]
    /// Objects that a job works for or reads.
    var busy: Set<ResourceKey>
    var changes: [CatalogChange] = []
    var records: [ResourceRecord] = []
    var removed: [ResourceKey] = []
    var newNames: Set<ResourceKey> = []
    var updates = 0

    /// The record of a backup, where a look may say what is in it.
    func mirror(_ name: StoredName) -> ResourceRecord? {
      guard let held = held[name], held.targetName == run.target, held.isMirror, !busy.contains(held.record.key)
      else { return nil }
      return held.record
    }

    var summary: String {
      [(newNames.count, "new"), (updates, "changed"), (removed.count, "gone")].filter { $0.0 > 0 }
        .map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }
  }

  private func absorb(_ found: FoundBackup, into absorption: inout Absorption) {
    let run = absorption.run
    if let old = absorption.mirror(found.name) {
      var record = old
      record.status = BackupController.synced(old.status, found, now: environment.now())
      if record != old {
        absorption.updates += 1
        absorption.changes += [.putResource(record)] + stateEvent(record)
        absorption.records.append(record)
      }
    } else if absorption.held[found.name] == nil, let new = newRecord(found, absorption) {
      absorption.newNames.insert(new.key)
      absorption.changes += [
        .putResource(new), event(.created, new.key, message: "found in backuptarget/\(run.target)"),
      ]
      absorption.records.append(new)
    } else {
      return
    }
    absorption.changes.append(
      .putStoreObject(target: run.target, path: found.name.path, version: found.version))
  }

  private func newRecord(_ found: FoundBackup, _ absorption: Absorption) -> ResourceRecord? {
    let target = absorption.run.target
    let kind: ResourceKind
    let stored: String
    var spec: [String: JSONValue] = ["backupTargetName": .string(target)]
    var labels: [String: String] = [:]
    switch found.name {
    case .image(let image):
      kind = .backupBackingImage
      stored = image
      spec["backingImage"] = .string(image)
      spec["userCreated"] = false
    case .backup(let backup, let volume):
      kind = .backup
      stored = backup
      spec["backupName"] = .string(backup)
      spec["volumeName"] = .string(volume)
      spec["userCreated"] = false
      spec["snapshotName"] = found.fields["snapshotName"]
      spec["labels"] = found.fields["labels"]
      // As Longhorn marks them.
      labels = ["backup-target": target, "backup-volume": volume]
    }
    do {
      if kind == .backupBackingImage { try ResourceName.checkReference(stored, "backingImage") }
      try ResourceName.check("\(stored.lowercased())-\(target)-00000000", kind)
    } catch {
      logger.warning(
        "a backup is left out: no object can be called so",
        metadata: ["target": "\(target)", "name": "\(stored.debugDescription.prefix(300))"])
      return nil
    }
    let name = BackupController.name(of: stored, target: target, random: { environment.hexadecimal(8) }) { name in
      let key = ResourceKey(kind, name)
      return resources[key] == nil && !absorption.newNames.contains(key)
    }
    return ResourceRecord(
      key: ResourceKey(kind, name), uid: newUID(), namespace: nil, labels: labels, spec: spec,
      status: BackupController.synced([:], found, now: environment.now()), generation: 1,
      createdAt: environment.now(), deleting: false)
  }

  /// Nobody knows whether the backup is still somewhere.
  private func doubt(_ name: StoredName, _ reason: String, _ absorption: inout Absorption) {
    guard !absorption.run.touched.contains(name), let old = absorption.mirror(name) else { return }
    var record = old
    record.status["state"] = .string(BackupBackingImage.State.unknown.rawValue)
    record.status["error"] = .string(reason)
    guard record != old else { return }
    absorption.updates += 1
    absorption.changes += [.putResource(record)] + stateEvent(record)
    absorption.records.append(record)
  }

  private func forget(_ name: StoredName, _ absorption: inout Absorption) {
    let run = absorption.run
    guard !run.touched.contains(name), let record = absorption.mirror(name) else { return }
    guard !record.isPinned else {
      return doubt(name, "it is pinned, but the store of backuptarget/\(run.target) has it no more", &absorption)
    }
    absorption.removed.append(record.key)
    absorption.changes += [
      .deleteResource(record.key),
      event(.deleted, record.key, message: "gone from backuptarget/\(run.target)"),
      .deleteStoreObject(target: run.target, path: name.path),
    ]
  }

  // MARK: What is known

  private struct HeldBackup {
    var record: ResourceRecord
    var targetName: String
    /// What it says comes from the store. A backup that was asked for and is not there yet, or failed, is none.
    var isMirror: Bool
  }

  /// The objects of backups in one place, whatever target they name.
  private func backups(at url: TargetURL) -> [StoredName: HeldBackup] {
    var targets: [String: TargetURL] = [:]
    for (key, record) in resources where key.kind == .backupTarget {
      targets[key.name] = (try? targetSpec(record))?.url
    }
    var held: [StoredName: HeldBackup] = [:]
    for (key, record) in resources {
      switch key.kind {
      case .backupBackingImage:
        guard let spec = try? backupSpec(record), targets[spec.targetName] == url else { continue }
        let state = BackupBackingImage.State(inStatus: record.status)
        let isMirror = !record.deleting && (!spec.userCreated || ![.pending, .error].contains(state))
        held[.image(spec.image)] = HeldBackup(record: record, targetName: spec.targetName, isMirror: isMirror)
      case .backup:
        guard let target = record.spec["backupTargetName"]?.string, targets[target] == url,
          let backup = record.spec["backupName"]?.string, let volume = record.spec["volumeName"]?.string
        else { continue }
        let name = StoredName.backup(backup, volume: volume)
        let isUnmade = [.pending, .inProgress, .error].contains(BackupBackingImage.State(inStatus: record.status))
        held[name] = HeldBackup(
          record: record, targetName: target, isMirror: !record.deleting && !(record.isOwnBackup && isUnmade))
      default: continue
      }
    }
    return held
  }

  /// Objects that unfinished jobs work for or read.
  private func busyObjects() -> Set<ResourceKey> {
    var busy: Set<ResourceKey> = []
    for job in machines.values.map(\.record.job) where !job.state.isFinal {
      busy.insert(job.owner)
      busy.formUnion(job.reads)
    }
    return busy
  }
}
