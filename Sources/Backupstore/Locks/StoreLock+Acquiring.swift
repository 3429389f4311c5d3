extension StoreLock {
  /// Takes the lock of the session's domain; waits for those that are in the way, with the phase `waiting for lock`,
  /// until `timing.patience` is over (`locked`) or the observer cancels.
  public static func acquire(_ type: LockType, _ session: StoreSession) throws(StoreError) -> StoreLock {
    let lock = try acquireUnrefreshed(type, session)
    try lock.startRefreshingOrRelease()
    return lock
  }

  func startRefreshingOrRelease() throws(StoreError) {
    do throws(StoreError) { try startRefreshing() } catch {
      release()
      throw error
    }
  }

  /// The same without the thread that refreshes.
  static func acquireUnrefreshed(_ type: LockType, _ session: StoreSession) throws(StoreError) -> StoreLock {
    let attempt = try LockAttempt.first(type, session)
    let end = session.timing.patience.map { session.clock.bootSeconds() + $0 }
    while true {
      try session.observer.checkCancelled()
      switch try attempt.run() {
      case .acquired(let lock):
        attempt.removeLongExpired(except: lock)
        return lock
      case .inTheWay(let rival, let offset):
        try attempt.wait(for: rival, serverOffset: offset, until: end)
      }
    }
  }
}

/// One attempt to take a lock, from its file's first appearance to the last look at the others.
struct LockAttempt: Sendable {
  let name: String
  let type: LockType
  let folder: LockFolder
  let session: StoreSession

  enum Outcome {
    case acquired(StoreLock)
    case inTheWay(SeenLock, serverOffset: Int64)
  }

  private var clock: any StoreClock { session.clock }
  private var timing: LockTiming { session.timing }

  /// Chooses the name and notes it in the journal; removes the locks that the journal has of earlier attempts of the job.
  static func first(_ type: LockType, _ session: StoreSession) throws(StoreError) -> LockAttempt {
    let folder = LockFolder(store: session.store, path: session.domain.path)
    let name = StoreName.random("lock")
    if let journal = session.lockJournal {
      let earlier = AbandonedWrites(store: session.store, locks: try journal.abandoned())
      try earlier.removeLocks()
      if !journal.keepsReleased { try journal.release(earlier.locks.map(\.name)) }
      try journal.add(name, on: session.domain)
    }
    if let mark = TemporaryMark(lock: name) { session.store.mark(temporaries: mark) }
    return LockAttempt(name: name, type: type, folder: folder, session: session)
  }

  /// From begin to end.
  func run() throws(StoreError) -> Outcome { try settle(try begin()) }

  /// Puts the lock's file there, not yet acquired. Answers the server's time less boot time, in nanoseconds.
  func begin() throws(StoreError) -> Int64 {
    try removingFileOnError { () throws(StoreError) in
      let began = clock.bootSeconds()
      try folder.write(record(isAcquired: false), deadline: .after(seconds: 60))
      let ended = clock.bootSeconds()
      guard let modified = try folder.modified(name, deadline: .usual) else { throw vanished() }
      return ServerTime.offset(modified: modified, began: began, ended: ended)
    }
  }

  /// What excludes the lock already, before it has settled.
  func rival(serverOffset: Int64) throws(StoreError) -> SeenLock? {
    try removingFileOnError { () throws(StoreError) in contest(try folder.locks(), serverOffset).rivals.first }
  }

  /// Waits until all others must have seen the file, and acquires the lock unless another goes first: then its file is gone.
  func settle(_ serverOffset: Int64) throws(StoreError) -> Outcome {
    try removingFileOnError { () throws(StoreError) in
      let outcome = try decide(serverOffset)
      if case .inTheWay = outcome { try folder.remove(name) }
      return outcome
    }
  }

  /// The error that ends the attempt says more than one of this removal would; the file expires in any case.
  private func removingFileOnError<R>(_ body: () throws(StoreError) -> R) throws(StoreError) -> R {
    do throws(StoreError) { return try body() } catch {
      try? folder.remove(name)
      throw error
    }
  }

  private func decide(_ offset: Int64) throws(StoreError) -> Outcome {
    try clock.pause(seconds: timing.settle, observer: session.observer)

    let before = try folder.locks()
    guard let mine = before.first(where: { $0.name == name }) else { throw vanished() }
    if let winner = contest(before, offset).winner(over: mine) { return .inTheWay(winner, serverOffset: offset) }

    let confirmed = clock.bootSeconds()
    try folder.write(record(isAcquired: true), deadline: .after(seconds: 60))
    if let collision = contest(try folder.locks(), offset).collision {
      return .inTheWay(collision, serverOffset: offset)
    }
    return .acquired(
      StoreLock(
        name: name, type: type, folder: folder, session: session, serverOffset: offset, confirmed: confirmed))
  }

  private func contest(_ all: [SeenLock], _ serverOffset: Int64) -> LockContest {
    LockContest(
      type: type, serverNow: ServerTime.now(clock, offset: serverOffset), expiry: timing.expiry,
      others: all.filter { $0.name != name })
  }

  /// Until nothing that excludes the lock stands any more. Its own file is gone meanwhile, so two that wait for each
  /// other don't keep each other waiting.
  func wait(for rival: SeenLock, serverOffset: Int64, until end: Double?) throws(StoreError) {
    var rival = rival
    while true {
      let kind = rival.record?.type == LockType.deletion.rawValue ? "a deletion" : "a backup or restore"
      session.observer.phase("waiting for lock", "\(rival.name), \(kind), in \(folder.store.url)")
      if let end, clock.bootSeconds() >= end {
        throw StoreError(
          .locked, "\(session.domain) in \(folder.store.url) is locked by \(rival.name) (\(kind))",
          hint: "wait until that is done; a lock whose holder died expires after \(Int(timing.expiry)) s")
      }
      // A little chance, so that two that gave way to each other don't meet again and again.
      try clock.pause(seconds: timing.poll * Double.random(in: 0.75...1.25), observer: session.observer)
      guard let next = contest(try folder.locks(), serverOffset).rivals.first else { return }
      rival = next
    }
  }

  /// Best effort: what can't be removed stays another while.
  func removeLongExpired(except lock: StoreLock) {
    guard let others = try? folder.locks() else { return }
    for other in others where other.name != name {
      if other.isExpired(at: lock.serverNow, after: timing.expiry + timing.cleanup) {
        session.observer.log(.info, "removing the lock \(other.name), which expired long ago")
        try? folder.remove(other.name)
      }
    }
    for file in (try? session.store.names(in: folder.path, deadline: .usual)) ?? [] where StoreName.isTemporary(file) {
      let path = "\(folder.path)/\(file)"
      guard let modified = try? session.store.status(of: path, deadline: .usual)?.modified else { continue }
      if Double(lock.serverNow - modified) > (timing.expiry + timing.cleanup) * 1e9 {
        try? session.store.remove(path, deadline: .usual)
      }
    }
  }

  private func record(isAcquired: Bool) -> LockRecord {
    LockRecord(name: name, type: type.rawValue, isAcquired: isAcquired)
  }

  private func vanished() -> StoreError {
    StoreError(.locked, "somebody removed the lock \(name) while it was being taken", hint: "try again")
  }
}
