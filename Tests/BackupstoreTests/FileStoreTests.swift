import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

@Suite struct FileStoreTests {
  private func open(_ path: String, create: Bool = false) throws -> FileStore {
    try FileStore(StoreURL("file://\(path)"), create: create)
  }

  private func write(_ store: FileStore, _ path: String) throws {
    try [UInt8](repeating: 1, count: 10).withUnsafeBytes { try store.write(path, $0, deadline: .never) }
  }

  @Test func anAbsentFolderIsUnreachableOrMade() throws {
    let folder = TemporaryFolder("store")
    let error = storeError { _ = try open(folder("none")) }
    #expect(error?.code == .targetUnreachable)
    #expect(error?.retry == .afterFix)
    #expect(error?.message.contains(folder("none")) == true)
    #expect(try FileStatus.of(folder("none")) == nil)
    _ = try open(folder("deep/none"), create: true)
    #expect(try FileStatus.of(folder("deep/none"))?.isFolder == true)
  }

  @Test func aFileIsNoTarget() throws {
    let folder = TemporaryFolder("store")
    try Folder.writeDurably(folder("file"), Array("x".utf8))
    #expect(storeError { _ = try open(folder("file")) }?.code == .targetUnreachable)
    #expect(storeError { _ = try open(folder("file"), create: true) }?.code == .targetUnreachable)
  }

  @Test func nothingIsAbsentOnceTheFolderVanished() throws {
    let folder = TemporaryFolder("store")
    try Folder.create(folder("target"))
    let store = try open(folder("target"))
    try write(store, "backupstore/a/x")
    try Folder.rename(folder("target"), folder("moved"))
    func expectUnreachable(_ what: String, _ body: () throws -> Void) {
      let error = storeError(body)
      #expect(error?.code == .targetUnreachable, "\(what)")
      #expect(error?.retry == .afterFix, "\(what)")
    }
    var buffer = [UInt8](repeating: 0, count: 100)
    expectUnreachable("status") { _ = try store.status(of: "backupstore/a/x", deadline: .never) }
    expectUnreachable("names") { _ = try store.names(in: "backupstore/a", deadline: .never) }
    expectUnreachable("visit") {
      try store.visit("backupstore", depth: 2, deadline: .never, enter: { _ in true }) { _ in }
    }
    expectUnreachable("read") {
      _ = try buffer.withUnsafeMutableBytes { try store.read("backupstore/a/x", into: $0, deadline: .never) }
    }
    expectUnreachable("write") { try write(store, "backupstore/a/y") }
    expectUnreachable("remove") { try store.remove("backupstore/a/x", deadline: .never) }
    #expect(try FileStatus.of(folder("target")) == nil, "nothing was made in its place")
    // An empty folder in its place, as an unmounted file system leaves one.
    try Folder.create(folder("target"))
    expectUnreachable("another folder") { _ = try store.names(in: "backupstore", deadline: .never) }
    expectUnreachable("another folder") { try write(store, "backupstore/a/y") }
    #expect(try Folder.list(folder("target")) == [])
  }

  @Test func anUnreadableFolderIsNotEmpty() throws {
    guard getuid() != 0 else {
      print("skipped: root reads every folder")
      return
    }
    let folder = TemporaryFolder("store")
    let store = try open(folder.path)
    try write(store, "backupstore/a/x")
    chmod(folder("backupstore"), 0)
    defer { chmod(folder("backupstore"), 0o700) }
    #expect(storeError { _ = try store.names(in: "backupstore/a", deadline: .never) }?.code == .targetUnreachable)
  }

  @Test func leavesNoTemporaryBehind() throws {
    let folder = TemporaryFolder("store")
    let store = try open(folder.path)
    try write(store, "backupstore/a/x")
    #expect(try Folder.list(folder("backupstore/a")) == ["x"])
    // A folder lies where the object belongs: the write fails, and its temporary goes.
    try Folder.create(folder("backupstore/a/folder/below"))
    #expect(storeError { try write(store, "backupstore/a/folder") } != nil)
    #expect(try Folder.list(folder("backupstore/a")) == ["folder", "x"])
  }

  @Test func aPipeInTheStoreIsNotOpened() throws {
    let folder = TemporaryFolder("store")
    let store = try open(folder.path)
    try Folder.create(folder("backupstore"))
    mkfifo(folder("backupstore/pipe"), 0o600)
    var buffer = [UInt8](repeating: 0, count: 10)
    #expect(try buffer.withUnsafeMutableBytes { try store.read("backupstore/pipe", into: $0, deadline: .never) } == nil)
  }

  /// Whichever folder can't be synced, at whichever call: it and those behind it are synced by the next one.
  @Test func whatCouldNotBeSyncedIsSyncedTheNextTime() throws {
    for failing in 1... {
      let folder = TemporaryFolder("store")
      let synced = Mutex<[String]>([])
      let calls = Mutex(0)
      var syncing = FileStore.SyncCalls()
      syncing.folder = { (path) throws(SystemError) in
        let call = calls.withLock { calls in
          calls += 1
          return calls
        }
        if call == failing { throw SystemError("fsync", path: path, errno: EIO) }
        synced.withLock { $0.append(path) }
      }
      let store = try FileStore(StoreURL("file://\(folder.path)"), calls: syncing)
      try write(store, "backupstore/a/x")
      try write(store, "backupstore/b/y")
      let error = storeError { try store.sync(deadline: .never) }
      let all = ["", "/backupstore", "/backupstore/a", "/backupstore/b"].map { folder.path + $0 }
      guard failing <= all.count else {
        #expect(error == nil)
        break
      }
      #expect(error?.code == .io && error?.retry == .transient, "\(failing)")
      #expect(synced.withLock { $0.count } == failing - 1)
      try store.sync(deadline: .never)
      #expect(synced.withLock { $0.sorted() } == all, "each once")
      try store.sync(deadline: .never)
      #expect(synced.withLock { $0.count } == all.count, "nothing is left to do")
    }
  }

  /// A sync that comes while another one is at work may not say that all is durable before it is.
  @Test func twoSyncsAtOnceAnswerBothForEverything() throws {
    let folder = TemporaryFolder("store")
    let inner = Mutex<(any ObjectStore)?>(nil)
    let answers = Mutex<[StoreError?]>([])
    var syncing = FileStore.SyncCalls()
    syncing.folder = { (path) throws(SystemError) in
      // The other one, in the middle of the first: the disk is not there for either.
      if let other = inner.withLock({ $0.take() }) {
        let error = storeError { try other.sync(deadline: .never) }
        answers.withLock { $0.append(error) }
      }
      throw SystemError("fsync", path: path, errno: EIO)
    }
    let store = try FileStore(StoreURL("file://\(folder.path)"), calls: syncing)
    try write(store, "x")
    inner.withLock { $0 = store }
    let error = storeError { try store.sync(deadline: .never) }
    #expect(error?.code == .io)
    #expect(answers.withLock { $0.map { $0?.code } } == [.io])
  }

  /// A name that is changed while its folder is synced is not among what that has made durable.
  @Test func aChangeDuringASyncIsSyncedByTheNext() throws {
    let folder = TemporaryFolder("store")
    let inner = Mutex<FileStore?>(nil)
    let calls = Mutex(0)
    var syncing = FileStore.SyncCalls()
    syncing.folder = { (path) throws(SystemError) in
      calls.withLock { $0 += 1 }
      if let store = inner.withLock({ $0.take() }) {
        _ = storeError { try store.write("y", document: [1]) }
      }
    }
    let store = try FileStore(StoreURL("file://\(folder.path)"), calls: syncing)
    try write(store, "x")
    inner.withLock { $0 = store }
    try store.sync(deadline: .never)
    try store.sync(deadline: .never)
    #expect(calls.withLock { $0 } == 2)
  }

  /// Blocks that lay there already, from whomever, are made durable before a config names them; where they can't be there
  /// is no such config.
  @Test(arguments: [false, true]) func whatABackupFoundIsDurableBeforeItIsNamed(_ exists: Bool) throws {
    let folder = TemporaryFolder("store")
    let url = try StoreURL("file://\(folder.path)")
    let image = SourceImage.filled([1, nil, 2])
    let bench = try Workbench.folder(folder)
    try bench.backUp(image, as: "parrot")
    if !exists { try bench.store.remove(StoreLayout.imageConfig("parrot"), deadline: .never) }
    let states = Mutex<[Bool?]>([])
    let works = Mutex(false)
    let plain = bench.store
    var syncing = FileStore.SyncCalls()
    syncing.fileSystem = { (path) throws(SystemError) in
      states.withLock { $0.append((try? plain.imageConfig("parrot"))??.isComplete) }
      guard works.withLock({ $0 }) else { throw SystemError("syncfs", path: path, errno: EIO) }
    }
    let store = try FileStore(url, calls: syncing)
    let error = storeError { try bench.on(store).backUp(image, as: "parrot") }
    #expect(error?.code == .io && error?.retry == .transient)
    #expect(try plain.imageConfig("parrot")?.isComplete == exists)
    works.withLock { $0 = true }
    try bench.on(store).backUp(image, as: "parrot")
    #expect(states.withLock { $0 } == [exists, exists])
    #expect(try plain.imageConfig("parrot")?.isComplete == true)
  }

  @Test func theWholeFileSystemIsSynced() throws {
    let folder = TemporaryFolder("store")
    let store = try open(folder.path)
    try write(store, "x")
    try store.settle(deadline: .never)
    try Folder.removeTree(folder.path)
    #expect(storeError { try store.settle(deadline: .never) }?.code == .targetUnreachable)
  }

  @Test func aDeadlineInThePastIsKept() throws {
    let folder = TemporaryFolder("store")
    let store = try open(folder.path)
    let error = storeError { _ = try store.names(in: "backupstore", deadline: .after(seconds: -1)) }
    #expect(error?.code == .timedOut)
  }
}
