public import DroverModel

// Volumes: each is a folder of layers. What changes it is a task of the stage `volume-task`, what copies goes through
// the stage `volume`.

extension Planner {
  public func folder(ofVolume name: String) -> String { "\(facts.stateFolder)/volumes/\(name)" }

  /// How the volume `name` comes into being.
  ///
  /// Throws `not-found` for a missing image, `conflict` for one that failed or does not fit, `bad-size` for a volume that
  /// is smaller than its image, and `not-supported` for an encrypted volume without an encrypted image.
  public func plan(volume name: String, spec: Volume.Spec, status: Volume.Status) throws(Fault) -> Plan {
    if let backup = spec.fromBackup { return try restore(backup, name, spec, status) }
    let key = ResourceKey(.volume, name)
    guard let size = spec.wholeSize else { throw Fault(.invalid, "\(key) has no size") }
    var params: [String: JSONValue] = [
      "operation": "create", "folder": .string(folder(ofVolume: name)), "size": .int(size),
      "encrypted": .bool(spec.encrypted),
    ]
    var job = PlannedJob(kind: .createVolume, owner: key, pipeline: Pipeline(from: [], to: []))
    if let image = spec.backingImage {
      switch try below(image, of: key) {
      case .waiting(let other, let reason): return .waiting(for: other, reason: reason)
      case .ready(let path, let facts):
        try check(facts, image, fits: size, key)
        try check(facts, image, spec, key)
        params["image"] = .string(path)
        job.reads = [ResourceKey(.backingImage, image)]
        job.inherited = try secret(of: spec, facts, key)
      }
    } else if spec.encrypted {
      throw Fault(
        .notSupported, "\(key) is to be encrypted, but lies over no image: this version makes no new header",
        hint:
          "drover image create --encrypt makes an encrypted image, which may be an empty one; take it as backingImage")
    }
    job.inherited["backingImage"] = .of(spec.backingImage)
    job.inherited["encrypted"] = .bool(spec.encrypted)
    job.pipeline.from = [Pipeline.Stage("volume-task", .task, params)]
    return .job(job)
  }

  // MARK: Restoring

  private func restore(
    _ backup: VolumeBackupURL, _ name: String, _ spec: Volume.Spec, _ status: Volume.Status
  ) throws(Fault) -> Plan {
    let key = ResourceKey(.volume, name)
    guard let found = status.restore, let size = found["size"]?.int, size > 0 else {
      throw Fault(.internalError, "\(key) does not say what is in \(backup)")
    }
    let recorded = found["backingImage"]?.string
    let image = spec.backingImage ?? recorded
    let isEncrypted = spec.encrypted || found["encrypted"]?.bool == true
    var job = PlannedJob(kind: .restore, owner: key, pipeline: Pipeline(from: [], to: []))
    var params: [String: JSONValue] = [
      "folder": .string(folder(ofVolume: name)), "size": .int(size), "encrypted": .bool(isEncrypted),
      "snapshot": .of(found["snapshotName"]?.string), "created": .of(found["createdAt"]?.string),
      "labels": found["labels"] ?? [:],
    ]
    if let image {
      switch try below(image, of: key) {
      case .waiting(let other, let reason): return .waiting(for: other, reason: reason)
      case .ready(let path, let facts):
        try check(image, facts, isBaseOf: found, spec, key)
        try check(facts, image, fits: size, key)
        params["image"] = .string(path)
        job.reads = [ResourceKey(.backingImage, image)]
        if isEncrypted { job.inherited = try secret(of: spec, facts, key) }
      }
    } else if isEncrypted, let secret = spec.secret {
      job.inherited = inherited(secret)
    }
    job.inherited["backingImage"] = .of(image)
    job.inherited["encrypted"] = .bool(isEncrypted)
    let target = target(at: backup.target)
    let known = target.flatMap { facts.targets[$0] }
    let url = backup.target.options.isEmpty ? known.map(backup.on) ?? backup : backup
    job.pipeline = Pipeline(
      from: [Pipeline.Stage("restore", .source, ["url": .string(url.text), "view": "blocks"])],
      to: [Pipeline.Stage("volume", .sink, present(params))], credentials: credentials(of: target, stage: 0))
    job.target = target
    if let record = facts.volumeBackups.filter({
      $0.value.volume == backup.volume && $0.value.backup == backup.backup
        && facts.targets[$0.value.targetName] == backup.target
    }).keys.min() {
      job.reads.append(ResourceKey(.backup, record))
    }
    return .job(job)
  }

  /// Throws `content-conflict` where an image is not known to be the one that the backup was made over.
  private func check(
    _ image: String, _ facts: Facts.ImageFacts, isBaseOf found: [String: JSONValue], _ spec: Volume.Spec,
    _ key: ResourceKey
  ) throws(Fault) {
    guard !spec.acceptBackingImage else { return }
    let hint = "--force (spec.acceptBackingImage) takes it all the same: the volume is garbage if it holds other bytes"
    guard let recorded = found["backingImage"]?.string else {
      throw Fault(
        .contentConflict, "\(key) is to lie over backingimage/\(image), but was backed up over no image", hint: hint)
    }
    if let checksum = found["backingImageChecksum"]?.string, let own = facts.checksum {
      guard checksum == own else {
        throw Fault(
          .contentConflict,
          "\(key) was backed up over the image \(recorded) with the checksum \(checksum.prefix(16))…, but "
            + "backingimage/\(image) has \(own.prefix(16))…", hint: hint)
      }
      return
    }
    guard image == recorded else {
      throw Fault(
        .contentConflict,
        "\(key) was backed up over the image \(recorded), and nothing says that backingimage/\(image) is the same",
        hint: hint)
    }
  }

  /// The image that must be restored first, where it is not here; nil where none is needed, or there is one of that name.
  public func missingImage(ofRestored spec: Volume.Spec, _ found: [String: JSONValue]) -> MissingImage? {
    guard let backup = spec.fromBackup, let image = spec.backingImage ?? found["backingImage"]?.string,
      facts.images[image] == nil, image == found["backingImage"]?.string
    else { return nil }
    return MissingImage(
      name: image, url: ImageBackupURL(target: backup.target, image: image),
      checksum: found["backingImageChecksum"]?.string)
  }

  public struct MissingImage: Sendable, Hashable {
    public var name: String
    public var url: ImageBackupURL
    public var checksum: String?
  }

  // MARK: Changing

  /// The job that makes a snapshot.
  public func plan(snapshot name: String, spec: Snapshot.Spec) throws(Fault) -> Plan {
    let key = ResourceKey(.snapshot, name)
    guard spec.createSnapshot else { return .nothing }
    let volumeKey = ResourceKey(.volume, spec.volume)
    let volume = try existing(spec.volume, for: key)
    if let other = volume.snapshots[spec.snapshotName], other.key != key {
      throw Fault(.conflict, "\(volumeKey) has a snapshot \(spec.snapshotName) already, which is \(other.key)")
    }
    let others = volume.snapshots.values.filter { $0.isReady && $0.key != key }.count
    guard others < volume.spec.snapshotLimit else {
      throw Fault(
        .conflict,
        "\(key) would be one too many: \(volumeKey) has \(others) snapshots, and may have "
          + "\(volume.spec.snapshotLimit)",
        hint: "drover snapshot delete \(spec.volume) NAME; or raise spec.snapshotMaxCount")
    }
    if let waiting = try waiting(for: volume, spec.volume, key) { return waiting }
    try checkDetached(volume, spec.volume, to: "make a snapshot of it")
    return .job(
      change(
        .snapshot, "snapshot", spec.volume, owner: key,
        [
          "name": .string(spec.snapshotName), "user-created": true,
          "labels": .object(spec.labels.mapValues { .string($0) }),
        ]))
  }

  /// The job that removes a snapshot: what only it holds goes into the layer above.
  public func deletion(snapshot name: String, spec: Snapshot.Spec) throws(Fault) -> PlannedJob {
    let key = ResourceKey(.snapshot, name)
    try checkDetached(try existing(spec.volume, for: key), spec.volume, to: "remove a snapshot of it")
    return change(.deleteSnapshot, "delete-snapshot", spec.volume, owner: key, ["name": .string(spec.snapshotName)])
  }

  /// The job that throws away what a volume holds since a snapshot. `snapshot` is the name in the volume.
  public func revert(volume name: String, to snapshot: String) throws(Fault) -> PlannedJob {
    let key = ResourceKey(.volume, name)
    let volume = try existing(name, for: key)
    guard let facts = volume.snapshots[snapshot] else {
      throw Fault(.notFound, "\(key) has no snapshot \(snapshot)", hint: "drover snapshot list \(name)")
    }
    guard facts.isReady else {
      throw Fault(.conflict, "\(key) can't be reverted to \(facts.key), which is not ready: \(facts.error)")
    }
    try checkDetached(volume, name, to: "revert it")
    var job = change(.revert, "revert", name, owner: key, ["name": .string(snapshot)])
    job.reads = [facts.key]
    return job
  }

  public func removal(volume name: String) throws(Fault) -> PlannedJob {
    let key = ResourceKey(.volume, name)
    if let volume = facts.volumes[name] { try checkDetached(volume, name, to: "delete it") }
    return change(.deleteVolume, "remove", name, owner: key, [:])
  }

  private func change(
    _ kind: Job.Kind, _ operation: String, _ volume: String, owner: ResourceKey, _ more: [String: JSONValue]
  ) -> PlannedJob {
    var params = more
    params["operation"] = .string(operation)
    params["folder"] = .string(folder(ofVolume: volume))
    let key = ResourceKey(.volume, volume)
    return PlannedJob(
      kind: kind, owner: owner, reads: owner == key ? [] : [key],
      pipeline: Pipeline(from: [Pipeline.Stage("volume-task", .task, params)], to: []))
  }

  // MARK: What is asked of a volume

  func existing(_ name: String, for key: ResourceKey) throws(Fault) -> Facts.VolumeFacts {
    guard let volume = facts.volumes[name] else {
      throw Fault(
        .notFound, "\(key) is about volume/\(name), which does not exist", hint: "drover get volume lists the volumes")
    }
    return volume
  }

  /// Nil: the volume is there. Throws `conflict` for one that will not be.
  func waiting(for volume: Facts.VolumeFacts, _ name: String, _ key: ResourceKey) throws(Fault) -> Plan? {
    let volumeKey = ResourceKey(.volume, name)
    guard !volume.status.isThere else { return nil }
    guard volume.status.robustness != .faulted else {
      throw Fault(.conflict, "\(key) is about \(volumeKey), which failed: \(volume.status.message)")
    }
    return .waiting(for: volumeKey, reason: "waiting for \(volumeKey), which is \(volume.status.state.rawValue)")
  }

  func checkDetached(_ volume: Facts.VolumeFacts, _ name: String, to what: String) throws(Fault) {
    switch volume.status.state {
    case .attaching, .attached, .detaching:
      throw Fault(
        .conflict, "volume/\(name) is \(volume.status.state.rawValue): detach it first, to \(what)",
        hint: "drover volume detach \(name)")
    case .creating, .restoring, .detached, .deleting: break
    }
  }

  enum ImageBelow {
    case ready(path: String, Facts.ImageFacts)
    case waiting(ResourceKey, reason: String)
  }

  func below(_ name: String, of key: ResourceKey) throws(Fault) -> ImageBelow {
    let imageKey = ResourceKey(.backingImage, name)
    guard let image = facts.images[name] else {
      throw Fault(
        .notFound, "\(key) lies over \(imageKey), which does not exist",
        hint: "drover get backingimage lists the images"
      )
    }
    guard image.state == .ready, let path = image.path else {
      guard image.state != .failed else {
        throw Fault(.conflict, "\(key) lies over \(imageKey), which failed: \(image.message)")
      }
      return .waiting(imageKey, reason: "waiting for \(imageKey), which is \(image.state.rawValue)")
    }
    return .ready(path: path, image)
  }

  private func check(
    _ image: Facts.ImageFacts, _ name: String, fits size: Int64, _ key: ResourceKey
  ) throws(Fault) {
    guard let virtual = image.virtualSize, size < virtual else { return }
    throw Fault(
      .badSize,
      "volume size should be larger than the backing image size: \(key) has \(size) bytes, backingimage/\(name) is a "
        + "disk of \(virtual)",
      hint: "make it \((virtual + Volume.sizeUnit - 1) / Volume.sizeUnit * Volume.sizeUnit) bytes or more")
  }

  /// What is encrypted is so all the way down.
  private func check(
    _ image: Facts.ImageFacts, _ name: String, _ spec: Volume.Spec, _ key: ResourceKey
  ) throws(Fault) {
    if spec.encrypted, !image.encrypted {
      throw Fault(
        .conflict, "\(key) is to be encrypted, but backingimage/\(name) is not",
        hint: "drover image create NEW --from-image \(name) --encrypt --secret NS/NAME")
    }
    if !spec.encrypted, image.encrypted {
      throw Fault(
        .conflict, "\(key) is not to be encrypted, but backingimage/\(name) is: nobody could read it",
        hint: "write encrypted: true")
    }
  }

  /// Members of the volume's status that say what opens it.
  private func secret(
    of spec: Volume.Spec, _ image: Facts.ImageFacts, _ key: ResourceKey
  ) throws(Fault) -> [String: JSONValue] {
    guard image.encrypted else { return inherited(spec.secret) }
    let below = image.secret.map { SecretReference(namespace: image.secretNamespace, name: $0) }
    if let own = spec.secret, let below, own != below {
      throw Fault(
        .conflict, "\(key) has the secret \(own), but its image has \(below): one header can't have both",
        hint: "leave spec.secret out")
    }
    return inherited(spec.secret ?? below)
  }
}

/// The members that are not null: an absent one means the same.
private func present(_ members: [String: JSONValue]) -> [String: JSONValue] { members.filter { !$0.value.isNull } }
