public import DroverModel

// Backups of volumes, and images of them.

extension Planner {
  /// Where the backup lies.
  public func targetName(of spec: Backup.Spec) -> String {
    spec.targetName ?? facts.volumes[spec.volume]?.spec.targetName ?? BackupTarget.defaultName
  }

  /// How the backup `name` of a volume gets into its store: after the backup of the image that the volume lies over.
  ///
  /// - Parameter isAlone: Builds upon no other backup: what seemed to be one can't be used.
  ///
  /// Throws `not-found` for a missing volume, snapshot, target or image's backup, `content-conflict` where that is of other
  /// content, and `conflict` for what failed.
  public func plan(volumeBackup name: String, spec: Backup.Spec, isAlone: Bool = false) throws(Fault) -> Plan {
    guard spec.userCreated else { return .nothing }
    let key = ResourceKey(.backup, name)
    let targetName = targetName(of: spec)
    let target = try target(targetName, for: key)
    let volume = try existing(spec.volume, for: key)
    if let waiting = try waiting(for: volume, spec.volume, key) { return waiting }
    guard let snapshotName = spec.snapshotName else {
      throw Fault(.invalid, "\(key) names no snapshot of volume/\(spec.volume)")
    }
    guard let snapshot = volume.snapshots[snapshotName] else {
      throw Fault(
        .notFound, "\(key) is of the snapshot \(snapshotName), which volume/\(spec.volume) does not have",
        hint: "drover snapshot list \(spec.volume)")
    }
    guard snapshot.isReady else {
      guard snapshot.error.isEmpty else {
        throw Fault(.conflict, "\(key) is of \(snapshot.key), which failed: \(snapshot.error)")
      }
      return .waiting(for: snapshot.key, reason: "waiting for \(snapshot.key)")
    }
    let blockSize = spec.blockSize ?? volume.spec.blockSize
    if let size = volume.status.size, size % blockSize != 0 {
      throw Fault(
        .badSize,
        "volume/\(spec.volume) has \(size) bytes, which is not a multiple of the backup's blocks of \(blockSize)",
        hint: "leave spec.backupBlockSize out")
    }

    var source: [String: JSONValue] = [
      "folder": .string(folder(ofVolume: spec.volume)), "snapshot": .string(snapshotName), "view": "own",
    ]
    var sink: [String: JSONValue] = [
      "target": .string(target.text), "name": .string(spec.backupName), "volume": .string(spec.volume),
      "snapshot": .string(snapshotName), "mode": .string(spec.mode.rawValue), "blockSize": .int(blockSize),
      "compression": .string((spec.compression ?? volume.spec.compression).rawValue),
      "labels": .object(labels(of: spec, volume).mapValues { .string($0) }),
    ]
    var reads = [ResourceKey(.volume, spec.volume), snapshot.key]
    if let image = volume.status.backingImage {
      switch try below(image, of: ResourceKey(.volume, spec.volume)) {
      case .waiting(let other, let reason): return .waiting(for: other, reason: reason)
      case .ready(let path, let facts):
        switch try backup(of: image, facts, at: target, for: key) {
        case .waiting(let other, let reason): return .waiting(for: other, reason: reason)
        case .complete(let other): reads += [ResourceKey(.backingImage, image), other]
        }
        source["image"] = .string(path)
        sink["backingImage"] = .string(image)
        sink["backingImageChecksum"] = .of(facts.checksum)
      }
    }
    if !isAlone, spec.mode == .incremental, let base = base(of: spec, name, volume, targetName, blockSize) {
      source["since"] = .string(base.snapshot)
      sink["base"] = .string(base.backup)
      sink["baseSnapshot"] = .string(base.snapshot)
      reads.append(ResourceKey(.backup, base.name))
      if let key = volume.snapshots[base.snapshot]?.key { reads.append(key) }
    }
    return .job(
      PlannedJob(
        kind: .backup, owner: key, reads: reads,
        pipeline: Pipeline(
          from: [Pipeline.Stage("volume", .source, source)],
          to: [Pipeline.Stage("backup", .sink, sink.filter { !$0.value.isNull })],
          credentials: credentials(of: targetName, stage: 1)),
        target: targetName))
  }

  /// Longhorn's own labels beside those that were asked for. Source: longhorn-format, 8.5.
  private func labels(of spec: Backup.Spec, _ volume: Facts.VolumeFacts) -> [String: String] {
    var labels = ["longhorn.io/volume-access-mode": "rwo"]
    if volume.status.encrypted { labels["volume-encrypted"] = "enabled" }
    return labels.merging(spec.labels) { _, new in new }
  }

  private struct Base {
    var name: String
    var backup: String
    var snapshot: String
  }

  /// The volume's last backup in the store, as far as is known here, where what it was made of is still there. The stage
  /// sees whether the store says the same. Source: longhorn-format, 8.2.
  private func base(
    of spec: Backup.Spec, _ own: String, _ volume: Facts.VolumeFacts, _ targetName: String, _ blockSize: Int64
  ) -> Base? {
    let complete = facts.volumeBackups.filter {
      $0.key != own && $0.value.volume == spec.volume && $0.value.state == .completed
        && $0.value.backup != spec.backupName
        && facts.targets[$0.value.targetName] == facts.targets[targetName]
    }
    let last = complete.max { ($0.value.begunAt ?? "", $0.key) < ($1.value.begunAt ?? "", $1.key) }
    guard let last, let snapshot = last.value.snapshot, snapshot != spec.snapshotName,
      volume.snapshots[snapshot]?.isReady == true, last.value.blockSize ?? Backup.usualBlockSize == blockSize
    else { return nil }
    return Base(name: last.key, backup: last.value.backup, snapshot: snapshot)
  }

  enum ImageBackup {
    case complete(ResourceKey)
    case waiting(ResourceKey, reason: String)
  }

  /// The complete backup of an image in the same place.
  private func backup(
    of image: String, _ imageFacts: Facts.ImageFacts, at target: TargetURL, for key: ResourceKey
  ) throws(Fault) -> ImageBackup {
    let known = facts.backups.filter { $0.value.image == image && facts.targets[$0.value.targetName] == target }
    guard let (name, backup) = known.min(by: { $0.key < $1.key }) else {
      throw Fault(
        .notFound,
        "\(key) can't be restored without a backup of backingimage/\(image), which \(target.canonical) has not",
        hint: "drover backup create image \(image)", retry: .afterFix)
    }
    let other = ResourceKey(.backupBackingImage, name)
    switch backup.state {
    case .completed:
      if let checksum = backup.checksum, let own = imageFacts.checksum, checksum != own {
        throw Fault(
          .contentConflict,
          "\(key) can't be restored with \(other), which has the checksum \(checksum.prefix(16))…: backingimage/\(image) "
            + "has \(own.prefix(16))…",
          hint: "the store holds another image of that name; use another target")
      }
      return .complete(other)
    case .error:
      throw Fault(
        .conflict, "\(key) waits for \(other), which failed: \(backup.error)",
        hint: "drover describe \(other) tells more", retry: .afterFix)
    case .pending, .inProgress, .unknown:
      return .waiting(other, reason: "waiting for \(other), which is not complete yet")
    }
  }

  /// The image whose backup must be made first: nil where the volume lies over none, or there is one already.
  public func unsavedImage(of spec: Backup.Spec) -> String? {
    guard let image = facts.volumes[spec.volume]?.status.backingImage,
      let target = facts.targets[targetName(of: spec)]
    else { return nil }
    let isKnown = facts.backups.values.contains { $0.image == image && facts.targets[$0.targetName] == target }
    return isKnown ? nil : image
  }

  /// The disk of a volume as a source, with the image below it.
  func exported(
    volume name: String, snapshot: String?, for key: ResourceKey
  ) throws(Fault) -> Exported {
    let volume = try existing(name, for: key)
    if case .waiting(let other, let reason)? = try waiting(for: volume, name, key) {
      return .waiting(other, reason: reason)
    }
    var reads = [ResourceKey(.volume, name)]
    var params: [String: JSONValue] = ["folder": .string(folder(ofVolume: name)), "view": "merged"]
    if let snapshot {
      guard let known = volume.snapshots[snapshot] else {
        throw Fault(.notFound, "volume/\(name) has no snapshot \(snapshot)", hint: "drover snapshot list \(name)")
      }
      guard known.isReady else { return .waiting(known.key, reason: "waiting for \(known.key)") }
      params["snapshot"] = .string(snapshot)
      reads.append(known.key)
    } else {
      try checkDetached(volume, name, to: "export what it holds now; or name a snapshot of it")
    }
    if let image = volume.status.backingImage {
      switch try below(image, of: ResourceKey(.volume, name)) {
      case .waiting(let other, let reason): return .waiting(other, reason: reason)
      case .ready(let path, _):
        params["image"] = .string(path)
        reads.append(ResourceKey(.backingImage, image))
      }
    }
    return .ready(
      Pipeline.Stage("volume", .source, params), reads: reads,
      secret: volume.status.encrypted ? volume.status.secretReference : nil)
  }

  enum Exported {
    case ready(Pipeline.Stage, reads: [ResourceKey], secret: SecretReference?)
    case waiting(ResourceKey, reason: String)
  }
}
