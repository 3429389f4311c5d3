import Synchronization

/// The verification of one pool.
struct PoolVerification {
  let session: StoreSession
  let options: StoreVerification.Options
  let pool: StorePool
  let journal: VerificationJournal?

  /// Blocks between two notes in the journal.
  private static let batch = 512

  private var store: any ObjectStore { session.store }
  private var observer: any StoreObserver { session.observer }

  func run(
    _ progress: inout VerificationJournal.Progress, into report: inout VerificationReport
  ) throws(StoreError) {
    var present = NamePrefixes()
    try store.visitBlocks(of: pool, observer: observer) { (name) throws(StoreError) in present.insert(name) }
    present.settle()
    let names = try store.backupNames(in: pool)
    if present.isEmpty && names.isEmpty { return }
    var referenced = NamePrefixes()
    var found: [Candidate] = []
    let ground = names.isEmpty ? nil : try ground(report.backups)
    for name in names {
      if let candidate = try candidate(name, ground, present, &referenced) { found.append(candidate) }
    }
    referenced.settle()

    if !progress.finished.contains(pool) {
      try readBlocks(
        of: found.filter(\.isComplete).map(\.backup.name), referenced, unit: UInt64(longest(found)), &progress)
      let bad = progress.findings[pool]?.bad ?? [:]
      if options.repairs && !bad.isEmpty {
        let repair = try BlockRepair(pool: pool, session: session, patience: options.repairPatience).run(
          bad, longest: longest(found))
        progress.asideBlocks += UInt64(repair.aside)
        progress.repairProblem = progress.repairProblem ?? repair.problem
        // What came right by itself is no damage.
        for name in repair.good { progress.findings[pool]?.bad[name] = nil }
        progress.findings[pool]?.moved.formUnion(repair.gone)
      }
      progress.finished.append(pool)
      progress.last = nil
      try journal?.save(progress)
    }

    let judged = try judge(found, present, progress.findings[pool] ?? .init(), images: report.backups)
    report.backups += judged.backups
    report.damagedBlocks += UInt64(judged.damaged.count)
    report.blocks += UInt64(referenced.count)
    present.subtract(referenced)
    report.unreferencedBlocks += UInt64(present.count)
  }

  /// A backup as its config was at the first look.
  struct Candidate {
    var backup: VerifiedBackup
    var isComplete = false
    /// Of its document.
    var status: ObjectStatus?
    var longest = 0
    /// Whether it names blocks that were not listed.
    var hasMissing = false
    /// Whether a restore would refuse it as it was.
    var isRefused = false
  }

  private func longest(_ found: [Candidate]) -> Int { max(512, found.map(\.longest).max() ?? 0) }

  // MARK: The structure

  /// Nil for the images, which stand by themselves.
  func ground(_ images: [VerifiedBackup]) throws(StoreError) -> VolumeGround? {
    guard case .volume(let name) = pool else { return nil }
    return try VolumeGround(name, in: store, images: images)
  }

  /// Nil: there is nothing of that name any more.
  private func candidate(
    _ name: String, _ ground: VolumeGround?, _ present: NamePrefixes, _ referenced: inout NamePrefixes
  ) throws(StoreError) -> Candidate? {
    try observer.checkCancelled()
    observer.phase("reading configs", name)
    var candidate = Candidate(
      backup: VerifiedBackup(
        pool: pool, name: name, url: pool.url(of: name, in: store), state: .good, reason: "", blocks: 0,
        damagedBlocks: 0, damagedInPlace: 0, damage: []))
    candidate.status = try store.status(of: pool.config(of: name), deadline: .usual)
    do throws(StoreError) {
      let config: PooledBackup
      if let ground, case .volume(let volume) = pool {
        guard let backup = try store.volumeBackupConfig(name, of: volume) else { return nil }
        if backup.isComplete { candidate.isRefused = try ground.refusal(of: backup) != nil }
        config = PooledBackup(backup)
      } else {
        guard let backup = try store.pooledBackup(name, in: pool) else { return nil }
        config = backup
      }
      candidate.backup.blocks = UInt64(config.blocks.count)
      candidate.longest = Int(config.blockSize)
      guard config.isComplete else {
        candidate.backup.state = .unfinished
        candidate.backup.reason = "it has no time of completion: it is being made, or its maker died"
        return candidate
      }
      candidate.isComplete = true
      for block in config.blocks {
        referenced.insert(block.name)
        if !present.contains(block.name) { candidate.hasMissing = true }
      }
    } catch  where error.code == .badConfig {
      candidate.backup.state = .unreadable
      candidate.backup.reason = error.message
    }
    return candidate
  }

  // MARK: The blocks

  /// Reads what lies in the scope, in the order of the names, and notes what is bad. `unit` is the longest block of
  /// the pool, which is what progress counts for each.
  private func readBlocks(
    of backups: [String], _ referenced: NamePrefixes, unit: UInt64, _ progress: inout VerificationJournal.Progress
  ) throws(StoreError) {
    guard options.scope != .structure else { return }
    let total = max(1, UInt64(Double(referenced.count) * options.scope.share)) * unit
    let rate = options.bytesPerSecond.map { ReadingRate($0, session) }
    var done: UInt64 = 0
    for shard in shards(of: referenced) {
      let wanted = try references(of: backups, in: shard, after: progress.last)
      let inspector = BlockInspector(session, pool, longest: Int(unit), rate: rate)
      observer.phase("reading blocks", "\(pool)")
      var start = 0
      while start < wanted.count {
        try observer.checkCancelled()
        var end = min(wanted.count, start + Self.batch)
        // All that claim one block are judged together.
        while end < wanted.count, wanted[end].name == wanted[end - 1].name { end += 1 }
        let batch = Array(wanted[start..<end])
        try read(batch, inspector, &progress, unit: unit, done: done, total: total)
        done += UInt64(batch.count) * unit
        start = end
        progress.last = batch.last?.name
        try journal?.save(progress)
      }
    }
    observer.progress(done: total, total: total)
  }

  /// A block that somebody names, and how long it must be.
  private struct Reference: Comparable {
    var name: BlockName
    var length: UInt32

    static func < (left: Reference, right: Reference) -> Bool {
      left.name == right.name ? left.length < right.length : left.name < right.name
    }
  }

  /// Ranges of names with at most so many blocks each as are held at once. Ends are included.
  private func shards(of referenced: NamePrefixes) -> [ClosedRange<UInt64>] {
    let sorted = referenced.sorted
    var shards: [ClosedRange<UInt64>] = []
    var start = 0
    while start < sorted.count {
      let end = min(sorted.count, start + options.shard)
      shards.append(sorted[start]...sorted[end - 1])
      start = end
    }
    return shards
  }

  /// Sorted, each once.
  private func references(
    of backups: [String], in shard: ClosedRange<UInt64>, after last: BlockName?
  ) throws(StoreError) -> [Reference] {
    var references: [Reference] = []
    func settle() {
      references.sort()
      var kept = 0
      for index in references.indices where kept == 0 || references[index] != references[kept - 1] {
        references[kept] = references[index]
        kept += 1
      }
      references.removeLast(references.count - kept)
    }
    for name in backups {
      try observer.checkCancelled()
      // One that is gone or another now is judged at the end.
      guard let config = try unchanged(name), config.isComplete else { continue }
      for block in config.blocks where shard.contains(block.name.prefix) && options.scope.includes(block.name) {
        if let last, block.name <= last { continue }
        references.append(Reference(name: block.name, length: UInt32(config.length(of: block))))
      }
      if references.count > 2 * options.shard { settle() }
    }
    settle()
    return references
  }

  private func read(
    _ batch: [Reference], _ inspector: BlockInspector, _ progress: inout VerificationJournal.Progress, unit: UInt64,
    done: UInt64, total: UInt64
  ) throws(StoreError) {
    // The first of each name reads the block.
    let firsts = batch.indices.filter { $0 == 0 || batch[$0].name != batch[$0 - 1].name }
    struct Reading {
      var blocks: UInt64 = 0
      var bytes: UInt64 = 0
      var findings = VerificationJournal.Findings()
    }
    let reading = Mutex(Reading())
    let observer = observer
    let names = firsts.map { batch[$0].name }
    // Few blocks are rather read on several threads than hashed side by side.
    let group = max(1, min(inspector.group, names.count / max(1, options.threads)))
    try Parallel.forEach((names.count + group - 1) / group, threads: options.threads) { (part) throws(StoreError) in
      let range = (part * group)..<min(names.count, (part + 1) * group)
      let findings = try inspector.inspect(names[range])
      observer.progress(done: min(total, done + UInt64(firsts[range.lowerBound]) * unit), total: total)
      for (index, finding) in zip(range, findings) {
        let name = names[index]
        switch finding {
        case .good(let length, let stored):
          let next = index + 1 < firsts.count ? firsts[index + 1] : batch.count
          let isClaimedOtherwise = batch[firsts[index]..<next].contains { $0.length != length }
          reading.withLock { reading in
            reading.blocks += 1
            reading.bytes += UInt64(stored)
            if isClaimedOtherwise { reading.findings.lengths[name] = length }
          }
        case .missing: reading.withLock { _ = $0.findings.vanished.insert(name) }
        case .bad(let reason):
          reading.withLock { reading in
            reading.blocks += 1
            reading.findings.bad[name] = reason
          }
        }
      }
    }
    reading.withLock { reading in
      progress.readBlocks += reading.blocks
      progress.readBytes += reading.bytes
      progress.findings[pool, default: .init()].merge(reading.findings)
    }
  }
}
