import Compression

extension VolumeBackup {
  /// Takes the volume's lock, makes its config where there is none, and puts the stub in its place.
  ///
  /// Throws `content-conflict` where the store has another volume of that name, or the backup's name is taken; `locked`
  /// while somebody else makes a backup of that name; and `base-unusable` where the backup that it builds upon is not the
  /// volume's last one, not complete, or of another snapshot or block size: then it can be made alone.
  public static func open(
    _ request: VolumeBackupRequest, at target: StoreURL, _ session: StoreSession
  ) throws(StoreError) -> VolumeBackup {
    try request.validate()
    try session.store.checkTakesBlocks()
    var session = session
    session.domain = .volume(request.volume)
    session.lockJournal = journal(request.jobFolder)
    let pending = try PendingLock(.use, session)
    do throws(StoreError) {
      let lock = try pending.settled()
      return VolumeBackup(request, at: target, session, pending, lock, try prepare(request, session, lock))
    } catch {
      pending.close()
      throw error
    }
  }

  private static func prepare(
    _ request: VolumeBackupRequest, _ session: StoreSession, _ lock: StoreLock
  ) throws(StoreError) -> Opened {
    let store = session.store
    let own = try session.lockJournal?.names().filter { $0 != lock.name } ?? []
    let begunAt = StoreTime.text(session.clock.wallSeconds())
    let known = try store.volumeConfig(request.volume)
    if let known { try request.check(known, in: store) }
    let method = try known.map { (known) throws(StoreError) in try request.method(of: known) } ?? request.method
    let existing = try existing(request, own: own, session, lock)
    let base = existing == nil ? try base(of: request, known, store) : nil
    if known == nil {
      let volume = VolumeConfig(
        name: request.volume, size: request.size, labels: request.labels, createdTime: begunAt,
        backingImageName: request.backingImage, backingImageChecksum: request.backingImageChecksum,
        compressionMethod: method.rawValue)
      try store.write(
        StoreLayout.volumeConfig(request.volume), document: volume.encoded(), deadline: lock.check())
    }
    if existing == nil {
      let stub = VolumeBackupConfig(
        name: request.name, volumeName: request.volume, compressionMethod: method.rawValue, droverLock: lock.name)
      try store.write(
        StoreLayout.volumeBackup(request.name, of: request.volume), document: stub.encoded(), deadline: lock.check())
    }
    try store.sync(deadline: .usual)
    // After the stub, so that the list is one of this lock's time.
    let present = try listBlocks(request, session, lock)
    return Opened(method: method, base: base, existing: existing, present: present, begunAt: begunAt)
  }

  /// The complete backup that an earlier attempt of this job made; nil: the name is free, or only a dead stub has it.
  private static func existing(
    _ request: VolumeBackupRequest, own: [String], _ session: StoreSession, _ lock: StoreLock
  ) throws(StoreError) -> VolumeBackupConfig? {
    guard let config = try session.store.volumeBackupConfig(request.name, of: request.volume) else { return nil }
    let place = "the backup \(request.name) of volume \(request.volume) in \(session.store.url)"
    guard !config.isComplete else {
      guard !own.isEmpty, config.snapshotName == request.snapshot else {
        throw StoreError(.contentConflict, "\(place) is there already", hint: "give the new one another name")
      }
      return config
    }
    // An earlier attempt's: it has ended, whatever its lock's file says.
    if let owner = config.droverLock, own.contains(owner) { return nil }
    if let holder = try lock.holder(ofStub: config.droverLock) {
      throw StoreError(.locked, "\(place) is being made by somebody else, under the lock \(holder.name)")
    }
    session.observer.log(.info, "\(place) was left unfinished, and is taken over: its maker is gone")
    return nil
  }

  private static func base(
    of request: VolumeBackupRequest, _ volume: VolumeConfig?, _ store: any ObjectStore
  ) throws(StoreError) -> VolumeBackupConfig? {
    guard let wanted = request.base else { return nil }
    func unusable(_ why: String) -> StoreError {
      StoreError(
        .baseUnusable,
        "the backup \(request.name) of volume \(request.volume) can't build upon \(wanted.backup): \(why)",
        hint: "everything that the volume holds is compared instead")
    }
    let last = volume?.lastBackupName ?? ""
    guard last == wanted.backup else {
      throw unusable(last.isEmpty ? "the store names no last backup" : "the volume's last backup is \(last)")
    }
    let config: VolumeBackupConfig
    do throws(StoreError) {
      guard let found = try store.volumeBackupConfig(wanted.backup, of: request.volume) else {
        throw unusable("it is not there")
      }
      config = found
    } catch  where error.code == .badConfig {
      throw unusable(error.message)
    }
    guard config.isComplete else { throw unusable("it is not complete") }
    guard config.snapshotName == wanted.snapshot else { throw unusable("it is of the snapshot \(config.snapshotName)") }
    guard config.singleFile.isEmpty else { throw unusable("it is one file") }
    guard config.blockSize == request.blockSize else { throw unusable("its blocks have \(config.blockSize) bytes") }
    if let end = config.blocks.last?.offset, end >= request.size {
      throw unusable("it reaches beyond the volume's end")
    }
    return config
  }

  /// The blocks that are there; on the way, what killed attempts of this job left unfinished is removed.
  private static func listBlocks(
    _ request: VolumeBackupRequest, _ session: StoreSession, _ lock: StoreLock
  ) throws(StoreError) -> Set<BlockName> {
    let abandoned = try session.lockJournal?.abandoned().filter { $0.name != lock.name } ?? []
    let unfinished = AbandonedWrites(store: session.store, locks: abandoned)
    var left: [String] = []
    var present: Set<BlockName> = []
    try session.store.visitBlocks(
      of: .volume(request.volume), observer: session.observer,
      temporary: { path in if unfinished.includes(path) { left.append(path) } }
    ) { present.insert($0) }
    try unfinished.remove(left)
    try unfinished.removeTemporaries(in: StoreLayout.volumeBackups(request.volume))
    try session.lockJournal?.release(abandoned.map(\.name))
    return present
  }
}

extension VolumeBackupRequest {
  /// Whether what the store has under the name can be this volume.
  func check(_ known: VolumeConfig, in store: any ObjectStore) throws(StoreError) {
    var difference: String?
    if known.backingImageName != backingImage {
      func text(_ name: String) -> String { name.isEmpty ? "no image" : "the image \(name)" }
      difference = "it lies over \(text(known.backingImageName)), this one over \(text(backingImage))"
    } else if !known.backingImageChecksum.isEmpty, !backingImageChecksum.isEmpty,
      known.backingImageChecksum != backingImageChecksum
    {
      difference =
        "its image \(backingImage) has the checksum \(known.backingImageChecksum.prefix(16))…, this one's "
        + "\(backingImageChecksum.prefix(16))…"
    } else if known.size > size {
      difference = "it has \(known.size) bytes, this one \(size)"
    } else if !known.dataEngine.isEmpty, known.dataEngine != "v1" {
      difference = "its data engine is \(known.dataEngine)"
    }
    guard let difference else { return }
    throw StoreError(
      .contentConflict, "\(store.url) holds backups of another volume \(volume): \(difference)",
      hint: "delete those, or use another target")
  }

  func method(of known: VolumeConfig) throws(StoreError) -> CompressionMethod {
    guard let method = CompressionMethod(rawValue: known.effectiveMethod) else {
      throw StoreError(
        .notSupported, "the backups of volume \(volume) are packed by the unknown method \(known.compressionMethod)")
    }
    return method
  }
}
