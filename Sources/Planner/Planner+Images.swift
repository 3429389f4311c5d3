public import DroverModel

extension Planner {
  /// How the image `name` comes into being.
  ///
  /// Throws `not-found` for a missing source image or target, `conflict` for a source that failed, and
  /// `checksum-mismatch` where it is known beforehand that the result can't have the wanted checksum.
  public func plan(image name: String, uuid: String, spec: BackingImage.Spec) throws(Fault) -> Plan {
    switch spec.source {
    case .download(let parameters):
      return .job(
        try fresh(name, uuid, spec, .download, source: Pipeline.Stage("download", .source, parameters.asJSON)))
    case .upload:
      return .awaitingContent(reason: "waiting for the content: PUT /v1/backingimages/\(name)/content")
    case .clone(let image, let encryption):
      return try clone(of: image, encryption, name, uuid, spec)
    case .restore(let backup, let concurrency, let targetName, _):
      return try restore(backup, concurrency, targetName, name, uuid, spec)
    case .exportFromVolume(let volume, let snapshot):
      let key = ResourceKey(.backingImage, name)
      switch try exported(volume: volume, snapshot: snapshot, for: key) {
      case .waiting(let other, let reason): return .waiting(for: other, reason: reason)
      case .ready(let source, let reads, let secret):
        var job = try fresh(name, uuid, spec, .export, source: source)
        job.reads = reads + job.reads
        if spec.secret == nil, let secret { job.inherited = inherited(secret) }
        return .job(job)
      }
    case .stage(let stage, let parameters):
      return .job(try fresh(name, uuid, spec, .import, source: Pipeline.Stage(stage, .source, parameters.asJSON)))
    }
  }

  /// The job that takes the content of an image with `sourceType: upload`. Descriptor 3 of the worker is the stream;
  /// `size` in bytes, where the client said it.
  public func upload(image name: String, uuid: String, spec: BackingImage.Spec, size: Int64?) throws(Fault)
    -> PlannedJob
  {
    guard spec.source == .upload else {
      throw Fault(
        .conflict, "backingimage/\(name) takes no content: its sourceType is \(spec.source.type)",
        hint: "apply an image with sourceType: upload")
    }
    if let size, size <= 0 || size % 512 != 0 {
      throw Fault(
        .badSize, "the content for backingimage/\(name) has \(size) bytes, which is not a positive multiple of 512",
        hint: "a disk image is whole sectors; is the file complete?")
    }
    return try fresh(
      name, uuid, spec, .upload,
      source: Pipeline.Stage("upload", .source, ["descriptor": 3, "size": .of(size)]))
  }

  /// The job that streams an image's bytes to descriptor 3 of the worker.
  public func save(image name: String) throws(Fault) -> PlannedJob {
    let (path, facts) = try ready(name, for: "saving it")
    return PlannedJob(
      kind: .save, owner: ResourceKey(.backingImage, name), reads: [ResourceKey(.backingImage, name)],
      pipeline: Pipeline(
        from: [imageFile(path)], to: [Pipeline.Stage("save", .sink, ["descriptor": 3])],
        expectedChecksum: facts.checksum))
  }

  private func clone(
    of source: String, _ encryption: BackingImage.Encryption, _ name: String, _ uuid: String,
    _ spec: BackingImage.Spec
  ) throws(Fault) -> Plan {
    let key = ResourceKey(.backingImage, source)
    guard source != name else { throw Fault(.invalid, "backingimage/\(name) can't be a clone of itself") }
    guard let facts = facts.images[source] else {
      throw Fault(
        .notFound, "backingimage/\(name) is a clone of \(key), which does not exist",
        hint: "drover get backingimage lists the images")
    }
    try checkSecrets(of: encryption)
    guard facts.state == .ready, let path = facts.path else {
      guard facts.state != .failed else {
        throw Fault(.conflict, "backingimage/\(name) is a clone of \(key), which failed: \(facts.message)")
      }
      return .waiting(for: key, reason: "waiting for \(key), which is \(facts.state.rawValue)")
    }
    try check(encryption, of: source, facts)
    let isSame = spec.filters.isEmpty && encryption == .ignore
    if isSame, let wanted = spec.checksum, let has = facts.checksum, wanted != has {
      throw Fault(
        .checksumMismatch,
        "backingimage/\(name) must have the checksum \(wanted.prefix(16))…, but \(key) has \(has.prefix(16))…",
        hint: "correct spec.checksum, or leave it out: a clone takes its source's")
    }
    var isEncrypting = false
    if case .encrypt = encryption { isEncrypting = true }
    var job = try fresh(name, uuid, spec, .clone, source: isEncrypting ? guestView(path) : imageFile(path))
    job.reads.insert(key, at: 0)
    if isSame {
      // What the source was when it became ready: a file that was changed since must not pass for it.
      job.pipeline.expectedChecksum = spec.checksum ?? facts.checksum
      if let secret = facts.secret, spec.secret == nil {
        job.inherited = inherited(SecretReference(namespace: facts.secretNamespace, name: secret))
      }
    }
    return .job(job)
  }

  private func restore(
    _ backup: ImageBackupURL, _ concurrency: Int?, _ targetName: String?, _ name: String, _ uuid: String,
    _ spec: BackingImage.Spec
  ) throws(Fault) -> Plan {
    if let targetName, facts.targets[targetName] == nil {
      throw Fault(
        .notFound, "backingimage/\(name) restores from backuptarget/\(targetName), which does not exist",
        hint: "drover get backuptarget lists the targets")
    }
    try checkSecrets(of: spec.source.encryption)
    let target = targetName ?? target(at: backup.target)
    let ours = facts.backups.filter {
      $0.value.image == backup.image && facts.targets[$0.value.targetName] == backup.target
    }
    let unfinished = ours.filter { $0.value.state == .pending || $0.value.state == .inProgress }.keys.min()
    if let unfinished, !ours.values.contains(where: { $0.state == .completed }) {
      let key = ResourceKey(.backupBackingImage, unfinished)
      return .waiting(for: key, reason: "waiting for \(key), which is not complete yet")
    }
    var job = try fresh(
      name, uuid, spec, .restore,
      source: Pipeline.Stage("restore", .source, ["url": .string(withOptions(backup, target).text)]))
    job.pipeline.concurrency = concurrency
    job.target = target
    // Credentials go nowhere but to the target that they are for.
    if target.flatMap({ facts.targets[$0] }) == backup.target {
      job.pipeline.credentials = credentials(of: target, stage: 0)
    }
    if let completed = ours.filter({ $0.value.state == .completed }).keys.min() {
      job.reads.insert(ResourceKey(.backupBackingImage, completed), at: 0)
    }
    return .job(job)
  }

  /// A job that makes a new image file from `source` and the spec's filters, encrypted or decrypted on the way.
  private func fresh(
    _ name: String, _ uuid: String, _ spec: BackingImage.Spec, _ kind: Job.Kind, source: Pipeline.Stage
  ) throws(Fault) -> PlannedJob {
    var params: [String: JSONValue] = [
      "folder": .string("\(facts.stateFolder)/images/\(name)-\(uuid)"), "name": .string(name),
      "uuid": .string(uuid),
    ]
    if let checksum = spec.checksum { params["expectedChecksum"] = .string(checksum) }
    let filters = spec.filters.map { Pipeline.Stage($0.stage, .filter, $0.params) }
    var pipeline = Pipeline(
      from: [source] + filters, to: [Pipeline.Stage("clone", .sink, params)], expectedChecksum: spec.checksum)
    try putEncryption(of: spec.source, into: &pipeline)
    return PlannedJob(
      kind: kind, owner: ResourceKey(.backingImage, name), reads: spec.source.encryption.secrets.map(\.key),
      pipeline: pipeline, inherited: inherited(spec.secretReference ?? spec.source.encryption.secretOfResult))
  }
}

extension [String: String] {
  fileprivate var asJSON: [String: JSONValue] { mapValues { .string($0) } }
}
