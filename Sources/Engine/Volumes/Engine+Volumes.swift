import DroverModel
import Planner

// Volumes, their snapshots and their backups: what the planner is told, and what a job has made of them.

extension Engine {
  func volumeSpec(_ record: ResourceRecord) throws -> Volume.Spec {
    try Volume.Spec.read(record.spec, validation: .ignore).spec
  }

  func snapshotSpec(_ record: ResourceRecord) throws -> Snapshot.Spec {
    try Snapshot.Spec.read(record.spec, name: record.key.name, validation: .ignore).spec
  }

  /// Also of one that only mirrors what lies in a store.
  func volumeBackupSpec(_ record: ResourceRecord) throws -> Backup.Spec {
    var fields = record.spec
    fields["userCreated"] = .bool(record.isOwnBackup)
    return try Backup.Spec.read(
      fields, name: record.key.name, objectLabels: record.labels, validation: .ignore
    ).spec
  }

  func targetName(ofBackup record: ResourceRecord) -> String? { record.spec["backupTargetName"]?.string }

  // MARK: Facts

  func volumeFacts() -> [String: Facts.VolumeFacts] {
    var facts: [String: Facts.VolumeFacts] = [:]
    for (key, record) in resources where key.kind == .volume {
      guard let spec = try? volumeSpec(record) else { continue }
      facts[key.name] = Facts.VolumeFacts(spec: spec, status: Volume.Status(record.status))
    }
    guard !facts.isEmpty else { return facts }
    for (key, record) in resources where key.kind == .snapshot {
      guard let spec = try? snapshotSpec(record) else { continue }
      let status = Snapshot.Status(record.status)
      facts[spec.volume]?.snapshots[spec.snapshotName] = Facts.SnapshotFacts(
        key: key, isReady: status.readyToUse && !record.deleting,
        error: record.deleting ? "it is being deleted" : status.error)
    }
    return facts
  }

  func volumeBackupFacts(_ record: ResourceRecord) -> Facts.VolumeBackupFacts {
    Facts.VolumeBackupFacts(
      volume: record.spec["volumeName"]?.string ?? "", backup: record.storedBackupName ?? "",
      targetName: targetName(ofBackup: record) ?? "", state: BackupBackingImage.State(inStatus: record.status),
      snapshot: record.status["snapshotName"]?.string ?? record.spec["snapshotName"]?.string,
      blockSize: record.status["blockSize"]?.int,
      begunAt: record.status["snapshotCreatedAt"]?.string ?? record.status["backupCreatedAt"]?.string)
  }

  /// Volumes that lie over the image, or are to.
  func volumes(over image: String) -> [ResourceKey] {
    resources.values.filter { record in
      guard record.key.kind == .volume else { return false }
      let status = Volume.Status(record.status)
      if let known = status.backingImage { return known == image }
      // One that failed needs nothing.
      return status.robustness != .faulted && record.spec["backingImage"]?.string == image
    }.map(\.key)
  }

  /// Volumes that only this Secret opens.
  func volumes(needing secret: SecretReference) -> [ResourceKey] {
    resources.values.filter { record in
      record.key.kind == .volume && Volume.Status(record.status).secretReference == secret
    }.map(\.key)
  }

  /// The job that keeps this one from its volume; nil: none does.
  ///
  /// - Parameter chosen: Jobs that start in the same moment.
  func volumeJob(before record: JobRecord, chosen: Dictionary<String, PlannedJob>.Keys) -> String? {
    let wanted = record.job.volumes
    guard !wanted.isEmpty else { return nil }
    return machines.values.filter { other in
      let job = other.record.job
      guard job.id != record.job.id, other.isWorking || chosen.contains(job.id), !wanted.isDisjoint(with: job.volumes)
      else { return false }
      return record.job.kind.changesVolume || job.kind.changesVolume
    }.map(\.id).min()
  }

  // MARK: After a job

  /// What a job that has just succeeded makes of the volume that it worked on, and of its snapshots.
  ///
  /// - Parameter owner: What it makes of its owner.
  func layers(after record: JobRecord, _ owner: OwnerChange?) -> LayerChange {
    guard record.job.state == .succeeded else { return LayerChange() }
    let job = record.job
    switch job.kind {
    case .deleteVolume: return LayerChange(removed: snapshots(of: job.owner.name).map(\.key))
    case .backup where job.owner.kind == .backup: return backedUp(job)
    case .restore where job.owner.kind == .volume: return restored(job, owner)
    case let kind where kind.tellsLayers: break
    default: return LayerChange()
    }
    guard let notes = layerNotes[job.id], let told = notes.volume, let key = job.volumes.first,
      var volume = self.record(key, owner)
    else { return LayerChange() }
    var status = Volume.Status(volume.status)
    status.size = told["size"]?.int ?? status.size
    status.actualSize = told["actualSize"]?.int ?? status.actualSize
    status.chain = told["chain"]?.array?.compactMap(\.string) ?? status.chain
    volume.status = status.fields
    var change = LayerChange(records: [volume])
    let known = Dictionary(
      snapshots(of: key.name).map { ($0.spec.snapshotName, $0.key) }, uniquingKeysWith: { first, _ in first })
    for (name, fields) in notes.snapshots.sorted(by: { $0.key < $1.key }) where fields["removed"]?.bool != true {
      let old = known[name].flatMap { self.record($0, owner) }
      var snapshot = old ?? newSnapshot(name, of: key.name, taken: change.records.map(\.key))
      snapshot.status = SnapshotController.told(snapshot.status, fields)
      if snapshot != old { change.records.append(snapshot) }
    }
    // What the volume has no more, and nobody is about to make.
    for (name, key) in known where notes.snapshots[name].map({ $0["removed"]?.bool == true }) ?? true {
      if unfinishedJobs(of: key).isEmpty, key != job.owner { change.removed.append(key) }
    }
    return change
  }

  private func record(_ key: ResourceKey, _ owner: OwnerChange?) -> ResourceRecord? {
    if case .changed(let record) = owner, record.key == key { return record }
    return resources[key]
  }

  func snapshots(of volume: String) -> [(key: ResourceKey, spec: Snapshot.Spec)] {
    resources.values.filter { $0.key.kind == .snapshot && $0.spec["volume"]?.string == volume }.compactMap { record in
      (try? snapshotSpec(record)).map { (record.key, $0) }
    }
  }

  /// The object of a snapshot that a volume has, and for which there is none.
  private func newSnapshot(_ name: String, of volume: String, taken: [ResourceKey]) -> ResourceRecord {
    let object = BackupController.name(of: name, target: volume, random: { environment.hexadecimal(8) }) { name in
      let key = ResourceKey(.snapshot, name)
      return resources[key] == nil && !taken.contains(key)
    }
    return ResourceRecord(
      key: ResourceKey(.snapshot, object), uid: newUID(), namespace: nil, labels: [:],
      spec: ["volume": .string(volume), "snapshotName": .string(name), "createSnapshot": false],
      status: Snapshot.Status().fields, generation: 1, createdAt: environment.now(), deleting: false)
  }

  private func backedUp(_ job: Job) -> LayerChange {
    guard let key = job.volumes.first, var volume = resources[key] else { return LayerChange() }
    var status = Volume.Status(volume.status)
    status.lastBackup = resources[job.owner]?.storedBackupName
    status.lastBackupAt = job.result["backupCreatedAt"]?.string
    volume.status = status.fields
    return LayerChange(records: [volume])
  }

  /// The one snapshot that a restored volume has.
  private func restored(_ job: Job, _ owner: OwnerChange?) -> LayerChange {
    guard let volume = record(job.owner, owner), let restore = Volume.Status(volume.status).restore,
      let name = restore["snapshotName"]?.string
    else { return LayerChange() }
    let known = snapshots(of: job.owner.name).first { $0.spec.snapshotName == name }
    var snapshot = known.flatMap { resources[$0.key] } ?? newSnapshot(name, of: job.owner.name, taken: [])
    snapshot.status = SnapshotController.told(
      snapshot.status,
      [
        "created": restore["createdAt"] ?? .null, "labels": restore["labels"] ?? .null, "parent": "",
        "children": [], "userCreated": true,
      ])
    return LayerChange(records: [snapshot])
  }

  func changes(_ change: LayerChange, job: String) -> [CatalogChange] {
    var changes: [CatalogChange] = []
    for record in change.records {
      changes.append(.putResource(record))
      if resources[record.key] == nil {
        changes.append(event(.created, record.key, job: job, message: "found in its volume"))
      } else {
        changes += stateEvent(record, job: job)
      }
    }
    for key in change.removed {
      changes += [.deleteResource(key), event(.deleted, key, job: job, message: "gone from its volume")]
    }
    return changes
  }

  func keep(_ change: LayerChange) {
    for record in change.records { resources[record.key] = record }
    for key in change.removed { resources[key] = nil }
  }
}

extension ResourceRecord {
  /// A volume's backup that was made here, or is to be.
  var isOwnBackup: Bool { key.kind == .backup && spec["userCreated"]?.bool == true }

  /// What a volume's backup is called in its store.
  var storedBackupName: String? { spec["backupName"]?.string }
}

extension Job {
  /// That it works on, or reads.
  var volumes: Set<ResourceKey> {
    var volumes = Set(reads.filter { $0.kind == .volume })
    if owner.kind == .volume { volumes.insert(owner) }
    return volumes
  }
}
