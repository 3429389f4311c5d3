extension StoreLock {
  /// The living lock under which somebody else may still be working on an unfinished backup; nil: nobody is, and the
  /// stub is dead. Ours names its lock; Longhorn's does not, so any foreign lock for use keeps it alive.
  func holder(of stub: ImageConfig) throws(StoreError) -> SeenLock? { try holder(ofStub: stub.droverLock) }

  /// - Parameter droverLock: The lock that the stub names.
  func holder(ofStub droverLock: String?) throws(StoreError) -> SeenLock? {
    let living = try living()
    if let name = droverLock { return living.first { $0.name == name } }
    return living.first { $0.record?.type == nil || $0.record?.type == LockType.use.rawValue }
  }
}
