import DroverModel
import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

/// What is special about NFS; the rest is in the contract.
@Suite struct NFSTests {
  @Test func nobodyAnswers() throws {
    let port = ServerProcess.freePort()
    let url = try StoreURL("nfs://127.0.0.1:/x?nfsOptions=nfsvers=3,port=\(port),mountport=\(port)")
    let error = try #require(storeError { _ = try openStore(url) })
    #expect(error.code == .targetUnreachable && error.retry == .afterFix)
  }

  /// The port takes connections and never says a word.
  @Test func aSilentServerMeetsTheDeadline() throws {
    let server = try TestHTTPServer()
    let url = try StoreURL("nfs://127.0.0.1:/x?nfsOptions=nfsvers=3,port=\(server.port),mountport=\(server.port)")
    let begin = BootClock.seconds()
    #expect(storeError { _ = try openStore(url, stallSeconds: 0.5) }?.code == .targetUnreachable)
    #expect(BootClock.seconds() - begin < 30)
  }

  @Test(.enabled(if: RcloneNFS.isMissing == nil, "rclone is not here"))
  func aServerThatRestartsIsFoundAgain() throws {
    let first = try RcloneNFS()
    let store = try openStore(StoreURL(first.url))
    try write(store, "backupstore/a", "one")
    first.stop()
    let gone = storeError { _ = try store.status(of: "backupstore/a", deadline: .after(seconds: 60)) }
    #expect(gone?.code == .network && gone?.retry == .transient)
    let second = try RcloneNFS(port: first.port, root: first.root)
    // Whatever it takes for another root or for the same: never for absent.
    do {
      #expect(try store.status(of: "backupstore/a", deadline: .after(seconds: 60))?.size == 3)
      try write(store, "backupstore/b", "two")
      #expect(Set(try store.names(in: "backupstore", deadline: .never)) == ["a", "b"])
    } catch let error as StoreError {
      #expect(error.code == .targetUnreachable)
    }
    withExtendedLifetime(second) {}
  }

  /// What a killed writer leaves must be known by its job's next attempt, so its names end in the lock's number; what its
  /// own earlier try left is in nobody's way, and goes.
  @Test(.enabled(if: RcloneNFS.isMissing == nil, "rclone is not here"))
  func unfinishedWritesBearTheMarkOfTheirLock() throws {
    let server = try RcloneNFS()
    let store = try openStore(StoreURL(server.url))
    store.mark(temporaries: try #require(TemporaryMark(lock: "lock-00000000000000ff")))
    try write(store, "backupstore/b.tmp.255", "left")
    try write(store, "backupstore/b.tmp.256", "somebody else's")
    try write(store, "backupstore/b", "one")
    #expect(Set(try store.names(in: "backupstore", deadline: .never)) == ["b", "b.tmp.256"])
    #expect(try store.status(of: "backupstore/b", deadline: .never)?.size == 3)

    // While it is written, another connection sees its name.
    let other = try openStore(StoreURL(server.url))
    let seen = Mutex<Set<String>>([])
    let isDone = Mutex(false)
    Thread.detachNewThread {
      while !isDone.withLock({ $0 }) {
        let names = (try? other.names(in: "backupstore", deadline: .after(seconds: 60))) ?? []
        seen.withLock { $0.formUnion(names.filter { StoreName.isTemporary($0) && $0 != "b.tmp.256" }) }
      }
    }
    defer { isDone.withLock { $0 = true } }
    let large = [UInt8](repeating: 7, count: 8 << 20)
    try until("a temporary is seen", within: 120) {
      try large.withUnsafeBytes { try store.write("backupstore/c", $0, deadline: .after(seconds: 60)) }
      return seen.withLock { !$0.isEmpty }
    }
    #expect(seen.withLock { $0 } == ["c.tmp.255"])
  }

  private func write(_ store: any ObjectStore, _ path: String, _ text: String) throws {
    try Array(text.utf8).withUnsafeBytes { try store.write(path, $0, deadline: .after(seconds: 60)) }
  }
}

@Suite(.enabled(if: Ganesha.isMissing == nil, "nfs-ganesha with rpcbind can't be started in unshare -n here"))
struct NFSVersion4Tests {
  /// What version 3 has written is listed and restored over version 4; blocks are not written over it.
  @Test func version4ReadsAndRefusesToWriteBlocks() throws {
    let server = try #require(Ganesha.shared)
    let folder = try server.makeFolder()
    let over3 = Workbench(store: try openStore(StoreURL(server.url(folder, version: 3))))
    try over3.backUp(.parrot, as: "parrot")
    let over4 = over3.on(try openStore(StoreURL(server.url(folder, version: 4))))
    #expect(try over4.restores("parrot", .parrot))
    #expect(try over4.store.names(in: "backupstore/backing-images/backing-images", deadline: .never) == ["parrot"])
    let error = try #require(storeError { try over4.backUp(.filled([1, 2]), as: "other") })
    #expect(error.code == .notSupported && error.retry == .never)
    #expect(error.hint.contains("nfsvers=3"))
    #expect(try over3.store.names(in: "backupstore/backing-images/backing-images", deadline: .never) == ["parrot"])
  }

  @Test func aMissingFolderIsNoEmptyTarget() throws {
    let server = try #require(Ganesha.shared)
    for version in [3, 4] {
      let error = storeError { _ = try openStore(StoreURL(server.url("not-there", version: version))) }
      #expect(error?.code == .targetUnreachable, "\(version)")
    }
  }
}
