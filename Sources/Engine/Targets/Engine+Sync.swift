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
    var seen: [String: String] = [:]
    for (image, held) in backups(at: url) where held.spec.targetName == target && held.isMirror {
      let isKnown = BackupBackingImage.Status(held.record.status).state != .unknown
      seen[image] = isKnown ? index[SyncRun.path(ofImage: image)] ?? "" : ""
    }
    return SyncRun(target: target, url: url, seen: seen, index: Set(index.keys))
  }

  /// Drover itself changes the backup that the object is of: looks that are under way have nothing to say of it.
  func touch(_ key: ResourceKey) {
    guard !syncs.isEmpty, key.kind == .backupBackingImage, let record = resources[key],
      let spec = try? backupSpec(record)
    else { return }
    for (id, run) in syncs where targetURL(of: spec) == run.url { syncs[id]?.touched.insert(spec.image) }
  }

  /// Takes over what a look has found: makes records of backups that others made, and forgets those that are gone. All of
  /// it is one commit.
  func absorb(_ run: SyncRun, _ answer: [String: JSONValue]) throws {
    guard TargetController.problem(in: answer) == nil else { return }
    guard let target = resources[ResourceKey(.backupTarget, run.target)], !target.deleting,
      (try? targetSpec(target))?.url == run.url
    else { return }
    var absorption = Absorption(run: run, held: backups(at: run.url), busy: busyObjects())
    for found in run.found where !run.touched.contains(found.image) { absorb(found, into: &absorption) }
    if answer["vanished"]?.bool == true {
      for image in run.seen.keys.sorted() { doubt(image, &absorption) }
    } else {
      for image in run.gone { forget(image, &absorption) }
    }
    let kept = Set(run.seen.keys).union(run.found.map(\.image)).map(SyncRun.path(ofImage:))
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
    var held: [String: HeldBackup]
    /// Objects that a job works for or reads.
    var busy: Set<ResourceKey>
    var changes: [CatalogChange] = []
    var records: [ResourceRecord] = []
    var removed: [ResourceKey] = []
    var newNames: Set<ResourceKey> = []
    var updates = 0

    /// The record of an image, where a look may say what is in it.
    func mirror(_ image: String) -> HeldBackup? {
      guard let held = held[image], held.spec.targetName == run.target, held.isMirror, !busy.contains(held.record.key)
      else { return nil }
      return held
    }

    var summary: String {
      [(newNames.count, "new"), (updates, "changed"), (removed.count, "gone")].filter { $0.0 > 0 }
        .map { "\($0.0) \($0.1)" }.joined(separator: ", ")
    }
  }

  private func absorb(_ found: FoundBackup, into absorption: inout Absorption) {
    let run = absorption.run
    var record: ResourceRecord
    if let mirror = absorption.mirror(found.image) {
      record = mirror.record
      record.status = BackupController.synced(record.status, found.fields, now: environment.now())
      if record != mirror.record {
        absorption.updates += 1
        absorption.changes += [.putResource(record)] + stateEvent(record)
        absorption.records.append(record)
      }
    } else if absorption.held[found.image] == nil, let new = newRecord(found, absorption) {
      record = new
      absorption.newNames.insert(record.key)
      absorption.changes += [
        .putResource(record), event(.created, record.key, message: "found in backuptarget/\(run.target)"),
      ]
      absorption.records.append(record)
    } else {
      return
    }
    absorption.changes.append(
      .putStoreObject(target: run.target, path: SyncRun.path(ofImage: found.image), version: found.version))
  }

  private func newRecord(_ found: FoundBackup, _ absorption: Absorption) -> ResourceRecord? {
    let target = absorption.run.target
    do { try ResourceName.checkReference(found.image, "backingImage") } catch {
      logger.warning(
        "a backup is left out: no object can be called so",
        metadata: ["target": "\(target)", "image": "\(found.image.debugDescription.prefix(300))"])
      return nil
    }
    let name = BackupController.name(
      ofImage: found.image, target: target, random: { environment.hexadecimal(8) }
    ) { name in
      let key = ResourceKey(.backupBackingImage, name)
      return resources[key] == nil && !absorption.newNames.contains(key)
    }
    return ResourceRecord(
      key: ResourceKey(.backupBackingImage, name), uid: newUID(), namespace: nil, labels: [:],
      spec: ["backingImage": .string(found.image), "backupTargetName": .string(target), "userCreated": false],
      status: BackupController.synced(
        BackupBackingImage.Status(backingImage: found.image).fields, found.fields, now: environment.now()),
      generation: 1, createdAt: environment.now(), deleting: false)
  }

  /// The store shows nothing at all: nobody knows whether the backup is still somewhere.
  private func doubt(_ image: String, _ absorption: inout Absorption) {
    guard !absorption.run.touched.contains(image), let mirror = absorption.mirror(image) else { return }
    var record = mirror.record
    var status = BackupBackingImage.Status(record.status)
    status.state = .unknown
    status.error = "the store of backuptarget/\(absorption.run.target) shows nothing at all"
    record.status = status.fields
    guard record != mirror.record else { return }
    absorption.updates += 1
    absorption.changes += [.putResource(record)] + stateEvent(record)
    absorption.records.append(record)
  }

  private func forget(_ image: String, _ absorption: inout Absorption) {
    let run = absorption.run
    guard !run.touched.contains(image), let mirror = absorption.mirror(image) else { return }
    absorption.removed.append(mirror.record.key)
    absorption.changes += [
      .deleteResource(mirror.record.key),
      event(.deleted, mirror.record.key, message: "gone from backuptarget/\(run.target)"),
      .deleteStoreObject(target: run.target, path: SyncRun.path(ofImage: image)),
    ]
  }

  // MARK: What is known

  private struct HeldBackup {
    var record: ResourceRecord
    var spec: BackupBackingImage.Spec
    /// What it says comes from the store. A backup that was asked for and is not there yet, or failed, is none.
    var isMirror: Bool
  }

  /// The objects of backups in one place, by the image's name there, whatever target they name.
  private func backups(at url: TargetURL) -> [String: HeldBackup] {
    var targets: [String: TargetURL] = [:]
    for (key, record) in resources where key.kind == .backupTarget {
      targets[key.name] = (try? targetSpec(record))?.url
    }
    var held: [String: HeldBackup] = [:]
    for (key, record) in resources where key.kind == .backupBackingImage {
      guard let spec = try? backupSpec(record), targets[spec.targetName] == url else { continue }
      let state = BackupBackingImage.Status(record.status).state
      let isMirror = !record.deleting && (!spec.userCreated || ![.pending, .error].contains(state))
      held[spec.image] = HeldBackup(record: record, spec: spec, isMirror: isMirror)
    }
    return held
  }

  private func targetURL(of spec: BackupBackingImage.Spec) -> TargetURL? {
    resources[ResourceKey(.backupTarget, spec.targetName)].flatMap { try? targetSpec($0) }?.url
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
