extension PoolVerification {
  /// Which backups the damage hits. Configs are looked at again: what is said of a backup holds for the config that is there
  /// now, and of one that is gone nothing is said. `images` are the images' backups as they were found, where this is a
  /// volume's pool.
  func judge(
    _ candidates: [Candidate], _ present: NamePrefixes, _ findings: VerificationJournal.Findings,
    images: [VerifiedBackup]
  ) throws(StoreError) -> (backups: [VerifiedBackup], damaged: Set<BlockName>) {
    var missing = MissingBlocks(
      store: session.store, pool: pool, present: present, vanished: findings.vanished)
    var damaged: Set<BlockName> = []
    var backups: [VerifiedBackup] = []
    let left = Set(try session.store.backupNames(in: pool))
    for candidate in candidates where left.contains(candidate.backup.name) {
      try session.observer.checkCancelled()
      session.observer.phase("judging backups", candidate.backup.name)
      var backup = candidate.backup
      let name = backup.name
      guard let status = try session.store.status(of: pool.config(of: name), deadline: .usual) else { continue }
      if status != candidate.status {
        backup.state = .changed
        backup.reason = "it was made anew while the store was verified"
      } else if candidate.isComplete, candidate.hasMissing || !findings.isEmpty {
        guard let config = try unchanged(name) else { continue }
        for block in config.blocks {
          var reason = findings.reason(block, config)
          if reason == nil { reason = try missing.reason(block.name) }
          guard let reason else { continue }
          damaged.insert(block.name)
          backup.damagedBlocks += 1
          if findings.isInPlace(block.name) { backup.damagedInPlace += 1 }
          if backup.damage.count < VerifiedBackup.longestDamage {
            backup.damage.append(.init(offset: block.offset, block: block.name, reason: reason))
          }
        }
        if let first = backup.damage.first {
          backup.state = .damaged
          backup.reason =
            "\(backup.damagedBlocks) of its \(backup.blocks) blocks are damaged, the first one at offset \(first.offset): \(first.reason)"
        }
      }
      if backup.state != .changed, candidate.isRefused, let refusal = try refusal(of: name, images) {
        if backup.state == .damaged { backup.reason = "\(refusal.message); and \(backup.reason)" }
        if backup.state == .good { backup.reason = refusal.message }
        backup.state = .unrestorable
      }
      backups.append(backup)
    }
    return (backups, damaged)
  }

  /// Why a restore would refuse a backup of a volume, which it did before; nil: it would no more.
  private func refusal(of name: String, _ images: [VerifiedBackup]) throws(StoreError) -> StoreError? {
    guard case .volume(let volume) = pool, let ground = try ground(images) else { return nil }
    do throws(StoreError) {
      guard let backup = try session.store.volumeBackupConfig(name, of: volume) else { return nil }
      return try ground.refusal(of: backup)
    } catch  where error.code == .badConfig {
      return error
    }
  }

  /// The config of a backup that was readable before; nil: it is gone.
  func unchanged(_ name: String) throws(StoreError) -> PooledBackup? {
    do throws(StoreError) {
      return try session.store.pooledBackup(name, in: pool)
    } catch  where error.code == .badConfig {
      throw StoreError(.io, "a config could be read a moment ago and now can't: \(error.message)", hint: error.hint)
    }
  }
}

/// Blocks that a listing did not show, looked at once more: a backup may have brought them since.
private struct MissingBlocks {
  let store: any ObjectStore
  let pool: StorePool
  let present: NamePrefixes
  let vanished: Set<BlockName>
  private var known: [BlockName: Bool] = [:]
  /// Looks that cost a request each; where more are missing, the listing is believed.
  private var looksLeft = 1000

  init(store: any ObjectStore, pool: StorePool, present: NamePrefixes, vanished: Set<BlockName>) {
    self.vanished = vanished
    self.store = store
    self.pool = pool
    self.present = present
  }

  mutating func reason(_ name: BlockName) throws(StoreError) -> String? {
    if present.contains(name) && !vanished.contains(name) { return nil }
    if let isMissing = known[name] { return isMissing ? Self.reason : nil }
    guard looksLeft > 0 else { return Self.reason }
    looksLeft -= 1
    let isMissing = try store.status(of: pool.block(name), deadline: .usual) == nil
    known[name] = isMissing
    return isMissing ? Self.reason : nil
  }

  private static let reason = "it is missing"
}
