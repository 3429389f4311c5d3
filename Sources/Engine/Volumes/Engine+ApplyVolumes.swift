import ChildProtocol
import DroverModel
import Planner

// New volumes, snapshots and backups, and what must be there before them.

/// An object that is made beside the one that was asked for.
struct ImpliedObject {
  var record: ResourceRecord
  var job: JobRecord
}

extension Engine {
  /// What the store says of the backup that a volume is to be restored from. Nil where the document asks for no restore, or
  /// the volume is there.
  func foundBackup(for document: ResourceDocument) async throws -> [String: JSONValue]? {
    guard case .volume(let spec) = document.spec, let backup = spec.fromBackup else { return nil }
    if let old = resources[document.key], Volume.Status(old.status).robustness != .faulted { return nil }
    let answer = try await answer(to: Planner(facts).inspection(of: backup).pipeline).values
    let labels = answer["labels"]?.object ?? [:]
    var found: [String: JSONValue] = [
      "labels": .object(labels), "encrypted": .bool(labels["volume-encrypted"]?.string == "enabled"),
    ]
    for (key, said) in [
      ("size", "volumeSize"), ("backingImage", "volumeBackingImageName"), ("snapshotName", "snapshotName"),
      ("backingImageChecksum", "volumeBackingImageChecksum"), ("createdAt", "snapshotCreatedAt"),
    ] {
      found[key] = answer[said]
    }
    guard found["size"]?.int ?? 0 > 0 else {
      throw Fault(.internalError, "the store did not say how large the volume in \(backup) is")
    }
    return found
  }

  func begin(
    volume record: inout ResourceRecord, _ spec: Volume.Spec, _ found: [String: JSONValue]?, _ id: String?,
    _ implied: inout [ImpliedObject]
  ) throws -> JobRecord? {
    var status = Volume.Status()
    status.state = spec.fromBackup == nil ? .creating : .restoring
    status.size = spec.wholeSize ?? found?["size"]?.int
    status.backingImage = spec.backingImage ?? found?["backingImage"]?.string
    status.encrypted = spec.encrypted || found?["encrypted"]?.bool == true
    status.restoredFrom = spec.fromBackup?.text
    status.restore = found
    var facts = facts
    if let found, let missing = Planner(facts).missingImage(ofRestored: spec, found) {
      let image = try self.image(missing, neededBy: record.key)
      facts.images[missing.name] = Facts.ImageFacts(BackingImage.Status(image.record.status))
      implied.append(image)
    }
    let plan = try Planner(facts).plan(volume: record.key.name, spec: spec, status: status)
    record.status = status.fields
    guard let job = queued(plan, spec.fromBackup == nil ? .createVolume : .restore, record.key, id) else { return nil }
    record.status = VolumeController.reflect(record.status, job)
    return job
  }

  /// The image that a restored volume lies over, from the same store.
  private func image(_ missing: Planner.MissingImage, neededBy key: ResourceKey) throws -> ImpliedObject {
    var spec: [String: JSONValue] = [
      "sourceType": "restore", "sourceParameters": ["backup-url": .string(missing.url.text)],
    ]
    if let checksum = missing.checksum { spec["checksum"] = .string(checksum) }
    let image = ResourceKey(.backingImage, missing.name)
    do throws(Fault) { try ResourceName.check(missing.name, .backingImage) } catch {
      throw Fault(
        .notFound, "\(key) lies over the image \(missing.name), which is not here, and can't be called so here",
        hint: "restore it under another name, and name that as backingImage")
    }
    var record = ResourceRecord(
      key: image, uid: newUID(), namespace: nil, labels: [:], spec: spec, status: [:], generation: 1,
      createdAt: environment.now(), deleting: false)
    guard let job = try begin(&record, .backingImage(try imageSpec(record)), newJobID()) else {
      throw Fault(.internalError, "nothing restores \(image)")
    }
    return ImpliedObject(record: record, job: job)
  }

  func begin(snapshot record: inout ResourceRecord, _ id: String?, _ facts: Facts? = nil) throws -> JobRecord? {
    let spec = try snapshotSpec(record)
    if let twin = snapshots(of: spec.volume).first(where: { $0.spec.snapshotName == spec.snapshotName }),
      twin.key != record.key
    {
      throw Fault(.conflict, "volume/\(spec.volume) has a snapshot \(spec.snapshotName) already, which is \(twin.key)")
    }
    record.status = Snapshot.Status().fields
    let plan = try Planner(facts ?? self.facts).plan(snapshot: record.key.name, spec: spec)
    guard let job = queued(plan, .snapshot, record.key, id) else {
      throw Fault(
        .notFound, "\(record.key) is the record of a snapshot that volume/\(spec.volume) does not have",
        hint: "write createSnapshot: true to make it")
    }
    record.status = SnapshotController.reflect(record.status, job)
    return job
  }

  /// Fills in what the manifest left open, so that later changes of the volume don't change the backup.
  func settle(backup record: inout ResourceRecord, _ old: ResourceRecord? = nil) throws {
    let spec = try volumeBackupSpec(record)
    let target = old.flatMap { targetName(ofBackup: $0) } ?? Planner(facts).targetName(of: spec)
    record.spec["backupName"] = .string(spec.backupName)
    if spec.targetName == nil { record.spec["backupTargetName"] = .string(target) }
    if spec.snapshotName == nil { record.spec["snapshotName"] = old?.spec["snapshotName"] }
    // As Longhorn marks them.
    record.labels[Backup.Spec.volumeLabel] = spec.volume
    record.labels[Backup.Spec.targetLabel] = record.spec["backupTargetName"]?.string ?? target
  }

  func begin(
    volumeBackup record: inout ResourceRecord, _ id: String?, _ implied: inout [ImpliedObject]
  ) throws -> JobRecord? {
    try settle(backup: &record)
    var facts = facts
    var spec = try volumeBackupSpec(record)
    guard spec.userCreated else {
      throw Fault(.invalid, "\(record.key): records of backups in a store are made by drover target sync")
    }
    if let twin = facts.volumeBackups.first(where: {
      $0.key != record.key.name && $0.value.volume == spec.volume && $0.value.backup == spec.backupName
        && facts.targets[$0.value.targetName] == facts.targets[spec.targetName ?? ""]
    }) {
      throw Fault(
        .conflict, "\(record.key): the store has a backup \(spec.backupName) of it, which is backup/\(twin.key)")
    }
    if let image = Planner(facts).unsavedImage(of: spec) {
      let backup = try self.backup(of: image, spec.targetName ?? BackupTarget.defaultName)
      facts.backups[backup.record.key.name] = Facts.BackupFacts(
        image: image, targetName: spec.targetName ?? BackupTarget.defaultName, state: .pending)
      implied.append(backup)
    }
    if spec.snapshotName == nil {
      guard facts.volumes[spec.volume] != nil else {
        throw Fault(
          .notFound, "\(record.key) is about volume/\(spec.volume), which does not exist",
          hint: "drover get volume lists the volumes")
      }
      let snapshot = try self.snapshot(for: record.key.name, spec, facts)
      spec.snapshotName = try snapshotSpec(snapshot.record).snapshotName
      record.spec["snapshotName"] = .of(spec.snapshotName)
      facts.volumes[spec.volume]?.snapshots[spec.snapshotName ?? ""] = Facts.SnapshotFacts(
        key: snapshot.record.key, isReady: false)
      implied.append(snapshot)
    }
    var status = Backup.Status([:])
    status.state = .pending
    status.volumeName = spec.volume
    status.snapshotName = spec.snapshotName
    status.labels = spec.labels
    status.backupTargetName = spec.targetName
    record.status = status.fields
    let plan = try Planner(facts).plan(volumeBackup: record.key.name, spec: spec)
    guard let job = queued(plan, .backup, record.key, id) else { return nil }
    record.status = VolumeBackupController.reflect(record.status, job)
    return job
  }

  /// The backup of the image that a volume lies over, without which that can't be restored.
  private func backup(of image: String, _ target: String) throws -> ImpliedObject {
    let name = BackupController.name(of: image, target: target, random: { environment.hexadecimal(8) }) {
      resources[ResourceKey(.backupBackingImage, $0)] == nil
    }
    var record = ResourceRecord(
      key: ResourceKey(.backupBackingImage, name), uid: newUID(), namespace: nil, labels: [:],
      spec: [
        "backingImage": .string(image), "backupTargetName": .string(target), "userCreated": true,
      ], status: [:], generation: 1, createdAt: environment.now(), deleting: false)
    guard let job = try begin(&record, .backupBackingImage(try backupSpec(record)), newJobID()) else {
      throw Fault(.internalError, "nothing backs up backingimage/\(image)")
    }
    return ImpliedObject(record: record, job: job)
  }

  /// The snapshot of a backup that names none. It is called as the backup is.
  private func snapshot(for backup: String, _ spec: Backup.Spec, _ facts: Facts) throws -> ImpliedObject {
    let taken = facts.volumes[spec.volume]?.snapshots ?? [:]
    let name = BackupController.name(of: backup, target: spec.volume, random: { environment.hexadecimal(8) }) { name in
      resources[ResourceKey(.snapshot, name)] == nil && taken[name] == nil
    }
    var record = ResourceRecord(
      key: ResourceKey(.snapshot, name), uid: newUID(), namespace: nil, labels: [:],
      spec: ["volume": .string(spec.volume), "createSnapshot": true], status: [:], generation: 1,
      createdAt: environment.now(), deleting: false)
    guard let job = try begin(snapshot: &record, newJobID(), facts) else {
      throw Fault(.internalError, "nothing makes \(record.key)")
    }
    return ImpliedObject(record: record, job: job)
  }
}
