import LinuxSystem
import TestKit
import Testing

@testable import Backupstore

/// What a killed attempt has left unfinished in a store goes with its next attempt, or with the next deletion.
@Suite struct AbandonedWriteTests {
  static let image = SourceImage.filled([1, nil, 2])

  private let folder = TemporaryFolder("abandoned")

  /// An attempt that took its lock and a name, and then wrote no more.
  private func killed(_ bench: Workbench) throws -> (backup: ImageBackup, mark: String) {
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    return (backup, try #require(TemporaryMark(lock: backup.claimed().name)).suffix)
  }

  private func temporaries(_ mark: String) -> [String] {
    [
      "\(StoreLayout.imageConfig("parrot"))\(mark)",
      "\(StoreLayout.imageBlock(BlockName(of: Self.image, at: 0)))\(mark)",
      "\(StoreLayout.imageLocks)/lock-0123456789abcdef.lck\(mark)",
    ]
  }

  private func put(_ paths: [String]) throws {
    for path in paths {
      try Folder.create(Folder.parent(of: folder(path)))
      try Folder.writeDurably(folder(path), [1, 2, 3])
    }
  }

  private func left() throws -> [String] {
    try files(in: folder.path).filter { StoreName.isTemporary($0) }.sorted()
  }

  private func files(in path: String) throws -> [String] {
    try Folder.list(path).flatMap { name in
      try FileStatus.of("\(path)/\(name)")?.isFolder == true
        ? try files(in: "\(path)/\(name)").map { "\(name)/\($0)" } : [name]
    }
  }

  @Test func theDigitsAreMadeOfTheLock() throws {
    #expect(TemporaryMark(lock: "lock-00000000000000ff")?.suffix == ".tmp.255")
    #expect(TemporaryMark(lock: "lock-ffffffffffffffff")?.suffix == ".tmp.18446744073709551615")
    #expect(TemporaryMark(lock: "somebody") == nil)
    let store = try FileStore(StoreURL("file://\(folder.path)"))
    store.mark(temporaries: try #require(TemporaryMark(lock: "lock-00000000000000ff")))
    try Folder.create(folder("a"))
    // One of that name is in the way, so it is what would have been written.
    try Folder.writeDurably(folder("a/b.tmp.255"), [])
    #expect(storeError { try store.write("a/b", document: [1]) } != nil)
  }

  @Test func theNextAttemptRemovesItsOwnAndNoOthers() throws {
    let bench = try Workbench.folder(folder)
    let (backup, mark) = try killed(bench)
    let own = temporaries(mark)
    let others = temporaries(".tmp.1795568857522653636")
    try put(own + others)
    try bench.backUp(Self.image, as: "parrot")
    #expect(try left() == others.sorted())
    #expect(try bench.restores("parrot", Self.image))
    #expect(try Folder.list(bench.jobs.path) == [])
    backup.close()
  }

  @Test func aDiscardRemovesItsOwnAndNoOthers() throws {
    let bench = try Workbench.folder(folder)
    let (backup, mark) = try killed(bench)
    let others = temporaries(".tmp.1795568857522653636")
    try put(temporaries(mark) + others)
    try ImageBackup.discard(name: "parrot", jobFolder: bench.jobs.path, bench.session)
    #expect(try left() == others.sorted())
    #expect(try bench.store.imageConfig("parrot") == nil)
    #expect(try Folder.list(bench.jobs.path) == [])
    backup.close()
  }

  @Test func aDeletionRemovesThemAll() throws {
    let bench = try Workbench.folder(folder)
    try bench.backUp(Self.image, as: "robin")
    try put(Array(temporaries(".tmp.1795568857522653636").prefix(2)))
    #expect(try ImageDeletion.delete("robin", bench.session).kept == nil)
    #expect(try left() == [])
    #expect(try bench.store.imageNames() == [])
  }

  /// Killed after the last config was gone: the next attempt may believe that no image is listed, others may not.
  @Test func aDeletionThatWasKilledIsFinished() throws {
    let (bench, store) = Workbench.memory()
    try bench.backUp(Self.image, as: "parrot")
    let note = folder("delete-backup.listed")
    let dying = FaultyStore(store, .removing(".blk"))
    #expect(try ImageDeletion.delete("parrot", note: folder("another"), bench.on(dying).session).kept != nil)
    #expect(try FileStatus.of(folder("another")) == nil)
    #expect(try ImageDeletion.delete("parrot", note: note, bench.session).kept != nil)
    #expect(store.paths.contains { $0.hasSuffix(".blk") })
    try Folder.writeDurably(note, Array("parrot".utf8))
    #expect(try ImageDeletion.delete("parrot", note: note, bench.session).kept == nil)
    #expect(store.paths == [])
    #expect(try FileStatus.of(note) == nil)
  }

  /// A restore has a lock and nothing else in the store.
  @Test func theLocksOfAJobThatIsGivenUpGo() throws {
    let bench = try Workbench.folder(folder)
    let journal = LockJournal(path: folder("restore.locks"))
    var session = bench.session
    session.lockJournal = journal
    let lock = try StoreLock.acquireUnrefreshed(.use, session)
    try journal.removeLocks(from: bench.store)
    #expect(try LockFolder(store: bench.store, path: StoreLayout.imageLocks).locks() == [])
    #expect(try FileStatus.of(folder("restore.locks")) == nil)
    lock.release()
  }

  /// A lock on a volume that an attempt of `verify`, `gc` or a deletion held when it was killed: none of these begins with
  /// the same domain, and some take no lock at all.
  @Test(arguments: ["verify", "collect", "delete", "delete what is gone", "another lock", "discard"])
  func theLockOfAnotherDomainGoesWithTheNextAttempt(_ next: String) throws {
    let (bench, store) = Workbench.memory()
    let volume = try VolumeStore([1, 2], in: store)
    try bench.backUp(Self.image, as: "parrot")
    let journal = LockJournal(path: folder("job.locks"))
    var session = bench.session
    session.lockJournal = journal
    var killed = session
    killed.domain = .volume(volume.volume.name)
    let lock = try StoreLock.acquireUnrefreshed(.deletion, killed)
    let others = LockFolder(store: store, path: StoreLayout.volumeLocks(volume.volume.name))
    try others.write(
      LockRecord(name: "lock-0123456789abcdef", type: LockType.use.rawValue, isAcquired: true), deadline: .usual)
    store["\(others.path)/\(lock.name).lck\(try #require(TemporaryMark(lock: lock.name)).suffix)"] = [1]
    switch next {
    case "verify": _ = try StoreVerification(.init(scope: .structure), session).run()
    case "collect":
      session.timing.patience = 0
      _ = storeError { _ = try StoreCollection.run(dryRun: false, threads: 1, session) }
    case "delete":
      session.timing.patience = 0
      _ = storeError { _ = try VolumeBackupDeletion.delete("backup-1", of: volume.volume.name, session) }
    case "delete what is gone": _ = try VolumeBackupDeletion.delete("backup-1", of: "no-such-volume", session)
    case "another lock": try StoreLock.acquireUnrefreshed(.use, session).release()
    default: try journal.removeLocks(from: store)
    }
    #expect(
      store.paths.filter { $0.contains("/locks/") } == ["\(others.path)/lock-0123456789abcdef.lck"], "\(store.paths)")
    #expect(try !journal.names().contains(lock.name))
    lock.release()
  }

  /// What another attempt's journal says, and lines that no journal of Drover's has.
  @Test func theJournalKeepsTheDomains() throws {
    let path = folder("job.locks")
    let journal = LockJournal(path: path, keepsReleased: true)
    try journal.add("lock-1", on: .images)
    try journal.add("lock-2", on: .volume("vol-1"))
    try journal.add("lock-3", on: .volume("released"))
    try journal.release(["lock-2"])
    #expect(try journal.abandoned().map(\.name) == ["lock-1", "lock-3"])
    #expect(try journal.abandoned().map(\.domain) == [.images, .volume("released")])
    #expect(try journal.names() == ["lock-1", "lock-2", "lock-3"])
    try Folder.writeDurably(path, Array("lock-4\nlock-5 released\n\n../x\nlock-6 of ../x\nlock-7 of".utf8))
    #expect(try journal.abandoned().map(\.name) == ["lock-4", "lock-7"])
    #expect(try journal.names() == ["lock-4", "lock-5", "lock-7"])
  }

  /// The journal names the lock until its file is gone: killed in between, the next attempt still finds it.
  @Test func theJournalOutlivesTheLock() throws {
    let (bench, store) = Workbench.memory()
    let backup = try ImageBackup.open(bench.request(Self.image, as: "parrot"), at: bench.target, bench.session)
    try backup.write(Self.image)
    _ = try backup.commit(size: Self.image.size, checksum: Self.image.checksum)
    #expect(try BackupJournal(folder: bench.jobs.path).locks.abandoned().map(\.name) == [backup.claimed().name])
    try bench.backUp(Self.image, as: "parrot")
    #expect(store.paths.filter { $0.hasSuffix(".lck") } == [])
    backup.close()
    #expect(try Folder.list(bench.jobs.path) == [])
  }

  /// The worker stood still while it wrote its final config, and a deletion did not count it meanwhile.
  @Test func aConfigThatWasWrittenTooLateIsSeenToAgain() throws {
    let clock = SimulatedClock()
    let (bench, store) = Workbench.memory(clock)
    let hooked = HookedStore(store)
    let backup = try ImageBackup.open(
      bench.request(Self.image, as: "parrot"), at: bench.target, bench.on(hooked).session)
    try backup.write(Self.image)
    hooked.beforeWrite = { path, _ in
      guard path == StoreLayout.imageConfig("parrot") else { return }
      clock.advance(200)
      for block in store.paths where block.hasSuffix(".blk") { store[block] = nil }
    }
    let error = storeError { _ = try backup.commit(size: Self.image.size, checksum: Self.image.checksum) }
    #expect(error?.code == .lockLost && error?.retry == .transient)
    backup.close()
    try bench.backUp(Self.image, as: "parrot")
    #expect(try bench.restores("parrot", Self.image))
  }
}

extension BlockName {
  fileprivate init(of image: SourceImage, at offset: UInt64) {
    self = image.bytes.withUnsafeBytes { BlockName(of: UnsafeRawBufferPointer(rebasing: $0[image.range(offset)])) }
  }
}
