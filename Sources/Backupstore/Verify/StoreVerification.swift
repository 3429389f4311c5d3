import LinuxSystem

/// Reads a store in place and tells which backups can be restored. Takes no lock while it reads; a bad block is moved aside
/// under the lock for deletion, after it was read again there.
///
/// Memory is bounded whatever the store's size: eight bytes a block of the pool that is at hand, twice, and 40 for each of at most
/// `Options.shard` blocks. Each config is read a few times over, never two at once.
public struct StoreVerification: Sendable {
  public struct Options: Sendable {
    public var scope: VerificationScope
    /// Whether bad blocks are moved aside.
    public var repairs = true
    /// Blocks that are read at once.
    public var threads = 4
    /// Of objects, by all threads together; nil: as fast as it goes.
    public var bytesPerSecond: Double?
    /// A file of the job's folder for the next attempt to go on from; nil: nowhere.
    public var journal: String?
    /// How long other users' locks are waited for before bad blocks are left in their place.
    public var repairPatience = 600.0
    /// Names that are held at once.
    public var shard = 1 << 20

    public init(scope: VerificationScope) { self.scope = scope }
  }

  let session: StoreSession
  let options: Options

  public init(_ options: Options, _ session: StoreSession) {
    self.options = options
    self.session = session
  }

  /// Throws when the store can't be listed or read as such, and on cancellation. Damage is a result.
  public func run() throws(StoreError) -> VerificationReport {
    session.removeAbandonedLocks()
    let journal = options.journal.map {
      VerificationJournal(path: $0, subject: "\(session.store.url) \(options.scope) \(options.repairs)")
    }
    var progress = try journal?.load() ?? VerificationJournal.Progress()
    var report = VerificationReport()
    for pool in try session.store.pools() {
      try PoolVerification(session: session, options: options, pool: pool, journal: journal)
        .run(&progress, into: &report)
    }
    report.readBlocks = progress.readBlocks
    report.readBytes = progress.readBytes
    report.asideBlocks = progress.asideBlocks
    report.repairProblem = progress.repairProblem
    journal?.remove()
    return report
  }
}
