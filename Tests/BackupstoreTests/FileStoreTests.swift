import Backupstore
import Foundation
import LinuxSystem
import TestKit
import Testing

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

  @Test func aDeadlineInThePastIsKept() throws {
    let folder = TemporaryFolder("store")
    let store = try open(folder.path)
    let error = storeError { _ = try store.names(in: "backupstore", deadline: .after(seconds: -1)) }
    #expect(error?.code == .timedOut)
  }
}
