import Backupstore

/// What a verification found, for the job's result.
struct VerificationRecord: Encodable {
  var target: String
  var scope: String
  var backups: [Backup]
  var damagedBackups: Int
  var blocks: UInt64
  var readBlocks: UInt64
  var readBytes: UInt64
  var unreferencedBlocks: UInt64
  var damagedBlocks: UInt64
  var asideBlocks: UInt64
  var repairProblem: String?

  struct Backup: Encodable {
    /// `BackupBackingImage` or `Backup`, as the objects are called.
    var kind: String
    /// In the store.
    var name: String
    var volume: String?
    var url: String
    var state: String
    var reason: String?
    var blocks: UInt64
    var damagedBlocks: UInt64
    var damagedInPlace: UInt64
    var damage: [Damage]?
  }

  struct Damage: Encodable {
    var offset: UInt64
    var block: String
    var reason: String
  }

  /// Entries of damage in the whole record: a record has its limits, and nobody reads more.
  private static let longestDamage = 5000

  init(_ report: VerificationReport, target: String, scope: String) {
    self.target = target
    self.scope = scope
    let damaged = report.backups.filter { !$0.damage.isEmpty }
    let share = max(1, Self.longestDamage / max(1, damaged.count))
    backups = report.backups.map { backup in
      var volume: String?
      if case .volume(let name) = backup.pool { volume = name }
      return Backup(
        kind: volume == nil ? "BackupBackingImage" : "Backup", name: backup.name, volume: volume, url: backup.url,
        state: backup.state.rawValue, reason: backup.reason.isEmpty ? nil : backup.reason, blocks: backup.blocks,
        damagedBlocks: backup.damagedBlocks, damagedInPlace: backup.damagedInPlace,
        damage: backup.damage.isEmpty
          ? nil
          : backup.damage.prefix(share).map {
            Damage(offset: $0.offset, block: $0.block.description, reason: $0.reason)
          })
    }
    damagedBackups = report.backups.count(where: \.state.isHarmed)
    (blocks, readBlocks, readBytes) = (report.blocks, report.readBlocks, report.readBytes)
    (unreferencedBlocks, damagedBlocks) = (report.unreferencedBlocks, report.damagedBlocks)
    (asideBlocks, repairProblem) = (report.asideBlocks, report.repairProblem)
  }
}

/// What a collection removed, for the job's result.
struct CollectionRecord: Encodable {
  var target: String
  var dryRun: Bool
  var blocks: Int
  var removedBlocks: Int
  var removedBytes: UInt64
  /// Why not all that nobody needs was removed.
  var kept: String?
  var pools: [Pool]

  struct Pool: Encodable {
    /// Nil for the images.
    var volume: String?
    var blocks: Int
    var removedBlocks: Int
    var removedBytes: UInt64
    var kept: String?
  }

  init(_ results: [StoreCollection.PoolResult], target: String, dryRun: Bool) {
    self.target = target
    self.dryRun = dryRun
    pools = results.map { result in
      var volume: String?
      if case .volume(let name) = result.pool { volume = name }
      return Pool(
        volume: volume, blocks: result.blocks, removedBlocks: result.removedBlocks, removedBytes: result.removedBytes,
        kept: result.kept)
    }
    blocks = results.reduce(0) { $0 + $1.blocks }
    removedBlocks = results.reduce(0) { $0 + $1.removedBlocks }
    removedBytes = results.reduce(0) { $0 + $1.removedBytes }
    kept = results.lazy.compactMap(\.kept).first
  }
}
