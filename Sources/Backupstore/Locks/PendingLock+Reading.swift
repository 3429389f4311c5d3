extension PendingLock {
  /// The lock for reading. Nil for a store that may not be written, which is read without one.
  static func ifWritable(_ session: StoreSession) throws(StoreError) -> PendingLock? {
    do throws(StoreError) {
      return try PendingLock(.use, session)
    } catch  where error.code == .notPermitted || error.code == .credentialsRefused {
      session.observer.log(.warning, "reading without a lock, since the store can't be written: \(error.message)")
      // Where it could be written a moment ago, a lock may have come into being.
      try? session.lockJournal?.removeLocks(from: session.store)
      return nil
    }
  }
}
