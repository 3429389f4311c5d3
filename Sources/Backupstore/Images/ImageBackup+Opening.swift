import Compression

extension ImageBackup {
  /// Claims the name and lists the store; waits while somebody else makes a backup of that name. Where nobody has the name
  /// yet, and nothing excludes the lock, returns before it is held: then the claim is settled beside the copying. Throws
  /// `content-conflict` when the name holds other content.
  public static func open(
    _ request: ImageBackupRequest, at target: StoreURL, _ session: StoreSession
  ) throws -> ImageBackup {
    try request.validate()
    try session.store.checkTakesBlocks()
    var session = session
    session.lockJournal = BackupJournal(folder: request.jobFolder).locks
    let pending = try PendingLock(.use, session)
    do {
      return try open(request, at: target, session, pending)
    } catch {
      pending.close()
      throw error
    }
  }

  private static func open(
    _ request: ImageBackupRequest, at target: StoreURL, _ session: StoreSession, _ pending: PendingLock
  ) throws -> ImageBackup {
    let url = ImageBackupURL(target: target, name: request.name)
    if !pending.isSettled, request.checkpoint == nil, try session.store.imageConfig(request.name) == nil {
      let seen = try session.store.imageBlocks(observer: session.observer)
      return ImageBackup(
        session: session, request: request, claim: BackupClaim(pending), url: url,
        uploader: BlockUploader(session.store, request.method, provisional: seen),
        createdTime: StoreTime.text(session.clock.wallSeconds()), existing: nil)
    }
    let lock = try pending.settled()
    let existing = try waitForName(request, session, lock)
    if let existing { try request.requireSameContent(existing, at: url) }
    let point = request.checkpoint.flatMap { BackupCheckpoint(decoding: $0) }
    if request.checkpoint != nil && (point?.name != request.name || point?.size != request.size) {
      throw StoreError(
        .sourceChanged, "the checkpoint is of another backup than that of image \(request.name)", hint: "begin anew")
    }
    let createdTime = point?.createdTime ?? StoreTime.text(session.clock.wallSeconds())
    if existing == nil { try writeStub(request, createdTime: createdTime, session, lock) }
    // After the stub, so that the list is one of this lock's time.
    let present = try listBlocks(request.name, session, lock.name)
    let backup = ImageBackup(
      session: session, request: request, claim: BackupClaim(pending, settled: lock), url: url,
      uploader: BlockUploader(
        session.store, request.method, present: present, uploadedBytes: point?.uploadedBytes ?? 0),
      createdTime: createdTime, existing: existing)
    if existing == nil, let point { try backup.resume(from: point) }
    return backup
  }

  static func writeStub(
    _ request: ImageBackupRequest, createdTime: String, _ session: StoreSession, _ lock: StoreLock
  ) throws(StoreError) {
    let deadline = try lock.check()
    let stub = request.stub(createdTime: createdTime, lock: lock.name)
    try session.store.write(StoreLayout.imageConfig(request.name), document: stub.encoded(), deadline: deadline)
    try session.store.sync(deadline: .usual)
  }

  /// The blocks that are there; on the way, what killed attempts of this job left unfinished is removed.
  static func listBlocks(
    _ name: String, _ session: StoreSession, _ lock: String
  ) throws(StoreError) -> Set<BlockName> {
    let abandoned = try session.lockJournal?.abandoned().filter { $0.name != lock } ?? []
    let unfinished = AbandonedWrites(store: session.store, locks: abandoned)
    var left: [String] = []
    let present = try session.store.imageBlocks(observer: session.observer) { path in
      if unfinished.includes(path) { left.append(path) }
    }
    try unfinished.remove(left)
    try unfinished.removeTemporaries(in: StoreLayout.image(name))
    try session.lockJournal?.release(abandoned.map(\.name))
    return present
  }

  /// The complete backup that has the name; nil: the name is free, or only a dead stub has it.
  static func waitForName(
    _ request: ImageBackupRequest, _ session: StoreSession, _ lock: StoreLock
  ) throws(StoreError) -> ImageConfig? {
    let end = session.timing.patience.map { session.clock.bootSeconds() + $0 }
    let own = try session.lockJournal?.names() ?? []
    while true {
      guard let config = try session.store.imageConfig(request.name) else { return nil }
      if config.isComplete { return config }
      // An earlier attempt's: it has ended, whatever its lock's file says.
      if let owner = config.droverLock, own.contains(owner) { return nil }
      guard let holder = try lock.holder(of: config) else {
        session.observer.log(.info, "an unfinished backup of image \(request.name) is taken over: its maker is gone")
        return nil
      }
      session.observer.phase("waiting for lock", "\(holder.name), a backup of image \(request.name)")
      if let end, session.clock.bootSeconds() >= end {
        throw StoreError(
          .locked, "somebody else is making a backup of image \(request.name) in \(session.store.url)",
          hint: "wait until that is done")
      }
      try session.clock.pause(seconds: session.timing.poll, observer: session.observer)
      try lock.check()
    }
  }

  /// Goes on where the checkpoint was made. A block counts as there only if the store lists it now.
  private func resume(from point: BackupCheckpoint) throws {
    let count = min(Int(point.offset / ImageConfig.blockSize), blockCount)
    guard let names = try journal.names(count: count) else {
      session.observer.log(.warning, "the list of finished blocks is gone, so they are read again")
      for index in 0..<count {
        try writeFromSource(at: UInt64(index) * ImageConfig.blockSize, expected: nil, keepsHoles: true)
      }
      return
    }
    adopt(names)
    for (index, name) in names.enumerated() {
      if let name, !uploader.isPresent(name) {
        try writeFromSource(at: UInt64(index) * ImageConfig.blockSize, expected: name, keepsHoles: false)
      }
    }
  }
}

extension ImageBackupRequest {
  func stub(createdTime: String, lock: String) -> ImageConfig {
    ImageConfig(
      name: name, size: size, checksum: checksum ?? "", labels: labels, compressionMethod: method.rawValue,
      createdTime: createdTime, droverLock: lock)
  }

  /// What opening would refuse, as far as it can be told without a lock. Returns whether the store already has a complete
  /// backup of the same content. Has no effect on anything.
  public func check(at target: StoreURL, in store: any ObjectStore) throws(StoreError) -> Bool {
    try validate()
    try store.checkTakesBlocks()
    guard let config = try store.imageConfig(name), config.isComplete else { return false }
    try requireSameContent(config, at: ImageBackupURL(target: target, name: name))
    return true
  }

  func requireSameContent(_ existing: ImageConfig, at url: ImageBackupURL) throws(StoreError) {
    let difference: String
    if existing.checksum.isEmpty {
      difference = "it has no checksum to compare"
    } else if let checksum, checksum != existing.checksum {
      difference = "its SHA-512 is \(existing.checksum), the image's is \(checksum)"
    } else if existing.size != size {
      difference = "it has \(existing.size) bytes, the image \(size)"
    } else {
      return
    }
    throw StoreError(
      .contentConflict, "\(url) already holds another image: \(difference)",
      hint: "delete that backup, or back up the image under another name")
  }
}
