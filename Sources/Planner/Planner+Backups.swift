public import DroverModel

extension Planner {
  /// How the backup `name` gets into its store.
  ///
  /// Throws `not-found` for a missing image or target, `conflict` for an image that failed and for a second object of
  /// one image and target.
  public func plan(backup name: String, spec: BackupBackingImage.Spec) throws(Fault) -> Plan {
    let key = ResourceKey(.backupBackingImage, name)
    let target = try target(spec.targetName, for: key)
    let twin = facts.backups.filter {
      $0.key != name && $0.value.image == spec.image && facts.targets[$0.value.targetName] == target
    }.keys.min()
    if let twin {
      throw Fault(
        .conflict, "\(key): the store has one backup an image, and backupbackingimage/\(twin) is that of \(spec.image)",
        hint: "use backupbackingimage/\(twin), or delete it first")
    }
    guard spec.userCreated else { return .nothing }

    let imageKey = ResourceKey(.backingImage, spec.image)
    guard let image = facts.images[spec.image] else {
      throw Fault(
        .notFound, "\(key) is the backup of \(imageKey), which does not exist",
        hint: "drover get backingimage lists the images")
    }
    guard image.state == .ready, let path = image.path else {
      guard image.state != .failed else {
        throw Fault(.conflict, "\(key) is the backup of \(imageKey), which failed: \(image.message)")
      }
      return .waiting(for: imageKey, reason: "waiting for \(imageKey), which is \(image.state.rawValue)")
    }
    let params: [String: JSONValue] = [
      "target": .string(target.text), "name": .string(spec.image), "checksum": .of(image.checksum),
      "labels": .object(spec.labels.mapValues { .string($0) }), "compression": .string(spec.compression.rawValue),
      "secret": .string(image.secret ?? ""), "secretNamespace": .string(image.secretNamespace ?? ""),
    ]
    return .job(
      PlannedJob(
        kind: .backup, owner: key, reads: [imageKey],
        pipeline: Pipeline(
          from: [imageFile(path)], to: [Pipeline.Stage("backup", .sink, params)], expectedChecksum: image.checksum,
          credentials: credentials(of: spec.targetName, stage: 1)),
        target: spec.targetName))
  }

  /// The job that removes a backup from its store. With `force` also where backups of volumes need it.
  public func deletion(
    backup name: String, spec: BackupBackingImage.Spec, force: Bool = false
  ) throws(Fault) -> PlannedJob {
    let key = ResourceKey(.backupBackingImage, name)
    let url = ImageBackupURL(target: try target(spec.targetName, for: key), image: spec.image)
    var params: [String: JSONValue] = ["url": .string(url.text)]
    if force { params["force"] = true }
    return task("delete-backup", .deleteBackup, params, owner: key, target: spec.targetName)
  }

  /// The same of a volume's backup; `backup` and `volume` are their names in the store.
  public func deletion(
    volumeBackup name: String, target: String, volume: String, backup: String
  ) throws(Fault) -> PlannedJob {
    let key = ResourceKey(.backup, name)
    let url = VolumeBackupURL(target: try self.target(target, for: key), volume: volume, backup: backup)
    return task("delete-backup", .deleteBackup, ["url": .string(url.text)], owner: key, target: target)
  }

  /// The question whether backups of volumes need a backup.
  public func deletionCheck(backup name: String, spec: BackupBackingImage.Spec) throws(Fault) -> PlannedJob {
    let key = ResourceKey(.backupBackingImage, name)
    let url = ImageBackupURL(target: try target(spec.targetName, for: key), image: spec.image)
    return task("check-deletion", .inspect, ["url": .string(url.text)], owner: key, target: spec.targetName)
  }

  /// The job that reads what a store says of one backup. `owner` is the object that asks; nil for a user's question.
  public func inspection(of url: ImageBackupURL, owner: ResourceKey? = nil) -> PlannedJob {
    let target = target(at: url.target)
    return task(
      "inspect-backup", .inspect, ["url": .string(withOptions(url, target).text)],
      owner: owner ?? ResourceKey(.backupTarget, target ?? url.target.text), target: target)
  }

  /// The same of a volume's backup.
  public func inspection(of url: VolumeBackupURL) -> PlannedJob {
    let target = target(at: url.target)
    let known = target.flatMap { facts.targets[$0] }
    let whole = url.target.options.isEmpty ? known.map(url.on) ?? url : url
    return task(
      "inspect-backup", .inspect, ["url": .string(whole.text)],
      owner: ResourceKey(.backupTarget, target ?? url.target.text), target: target)
  }

  /// A backup's URL mostly comes without the options that its target is reached with.
  func withOptions(_ url: ImageBackupURL, _ target: String?) -> ImageBackupURL {
    guard url.target.options.isEmpty, let known = target.flatMap({ facts.targets[$0] }), known == url.target else {
      return url
    }
    return ImageBackupURL(target: known, image: url.image)
  }

  /// The job that looks whether a target can be used.
  public func probe(target name: String) throws(Fault) -> PlannedJob { try look("probe-target", .probe, at: name) }

  /// The job that looks what is new in a target. It is told in its folder what was seen before.
  public func sync(target name: String) throws(Fault) -> PlannedJob { try look("sync-target", .sync, at: name) }

  private func look(_ stage: String, _ kind: Job.Kind, at name: String) throws(Fault) -> PlannedJob {
    let key = ResourceKey(.backupTarget, name)
    guard let url = facts.targets[name] else { throw Fault(.notFound, "\(key) does not exist") }
    return task(stage, kind, ["target": .string(url.text)], owner: key, target: name)
  }

  func task(
    _ stage: String, _ kind: Job.Kind, _ params: [String: JSONValue], owner: ResourceKey, target: String?
  ) -> PlannedJob {
    PlannedJob(
      kind: kind, owner: owner,
      pipeline: Pipeline(
        from: [Pipeline.Stage(stage, .task, params)], to: [], credentials: credentials(of: target, stage: 0)),
      target: target)
  }
}
