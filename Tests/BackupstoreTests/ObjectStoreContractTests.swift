import Backupstore
import Foundation
import LinuxSystem
import TestKit
import Testing

/// What every driver promises; each one is run through all of it.
@Suite struct ObjectStoreContractTests {
  enum Driver: CaseIterable {
    case file
    /// The tests' own, so that what they show with it holds.
    case memory
  }

  struct Place {
    var store: any ObjectStore
    var folder = TemporaryFolder("store")

    init(_ driver: Driver) throws {
      store =
        switch driver {
        case .file: try FileStore(StoreURL("file://\(folder.path)"))
        case .memory: MemoryStore(clock: SimulatedClock())
        }
    }

    func write(_ path: String, _ text: String) throws {
      try Array(text.utf8).withUnsafeBytes { try store.write(path, $0, deadline: .never) }
    }

    func read(_ path: String, capacity: Int = 100) throws -> String? {
      var bytes = [UInt8](repeating: 0, count: capacity)
      guard let count = try bytes.withUnsafeMutableBytes({ try store.read(path, into: $0, deadline: .never) }) else {
        return nil
      }
      return String(decoding: bytes[..<count], as: UTF8.self)
    }

    func visited(_ folder: String, depth: Int, enter: (String) -> Bool = { _ in true }) throws -> [String] {
      var found: [String] = []
      try store.visit(folder, depth: depth, deadline: .never, enter: enter) { found.append($0) }
      return found.sorted()
    }
  }

  @Test(arguments: Driver.allCases) func whatIsNotThereIsNil(_ driver: Driver) throws {
    let place = try Place(driver)
    #expect(try place.store.status(of: "backupstore/a/b", deadline: .never) == nil)
    #expect(try place.read("backupstore/a/b") == nil)
    #expect(try place.store.names(in: "backupstore/a", deadline: .never) == [])
    #expect(try place.visited("backupstore/a", depth: 2) == [])
    try place.store.remove("backupstore/a/b", deadline: .never)
    try place.store.sync(deadline: .never)
    // A file is no folder, and nothing lies below it.
    try place.write("backupstore/file", "x")
    #expect(try place.read("backupstore/file/below") == nil)
    #expect(try place.store.status(of: "backupstore/file/below", deadline: .never) == nil)
    #expect(try place.store.names(in: "backupstore/file", deadline: .never) == [])
  }

  @Test(arguments: Driver.allCases) func aWrittenObjectIsThere(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a/b/one", "first")
    try place.write("backupstore/a/b/one", "second!")
    try place.write("backupstore/a/empty", "")
    #expect(try place.read("backupstore/a/b/one") == "second!")
    #expect(try place.read("backupstore/a/b/one", capacity: 7) == "second!")
    #expect(try place.read("backupstore/a/empty") == "")
    #expect(try place.store.status(of: "backupstore/a/b/one", deadline: .never)?.size == 7)
    #expect(try place.store.names(in: "backupstore/a", deadline: .never).sorted() == ["b", "empty"])
    try place.store.sync(deadline: .never)
  }

  @Test(arguments: Driver.allCases) func aFolderIsNoObject(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a/b", "x")
    #expect(try place.store.status(of: "backupstore/a", deadline: .never) == nil)
    #expect(try place.read("backupstore/a") == nil)
  }

  @Test(arguments: Driver.allCases) func anObjectLongerThanTheBufferIsAnError(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a", "12345678")
    #expect(storeError { _ = try place.read("backupstore/a", capacity: 7) }?.code == .badBlock)
  }

  @Test(arguments: Driver.allCases) func aRewriteMovesTheTime(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a", "x")
    let first = try #require(try place.store.status(of: "backupstore/a", deadline: .never)).modified
    try place.write("backupstore/a", "y")
    let second = try #require(try place.store.status(of: "backupstore/a", deadline: .never)).modified
    #expect(second >= first)
    #expect(first > 1_700_000_000 * 1_000_000_000)
  }

  @Test(arguments: Driver.allCases) func removingTakesOneObjectAndItsEmptyFolders(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a/nightly-1/x", "1")
    try place.write("backupstore/a/nightly-10/x", "10")
    try place.store.remove("backupstore/a/nightly-1/x", deadline: .never)
    #expect(try place.store.names(in: "backupstore/a", deadline: .never) == ["nightly-10"])
    #expect(try place.read("backupstore/a/nightly-10/x") == "10")
    try place.store.sync(deadline: .never)
  }

  @Test(arguments: Driver.allCases) func visitsExactlyOneDepth(_ driver: Driver) throws {
    let place = try Place(driver)
    for path in ["top", "aa/file", "aa/bb/1", "aa/bb/2", "aa/cc/deep/3", "zz/bb/4"] {
      try place.write("backupstore/\(path)", "x")
    }
    #expect(try place.visited("backupstore", depth: 1).contains("top"))
    #expect(
      try place.visited("backupstore", depth: 3).filter { !$0.hasSuffix("deep") } == ["aa/bb/1", "aa/bb/2", "zz/bb/4"])
    #expect(
      try place.visited("backupstore", depth: 3) { $0 != "zz" }.filter { !$0.hasSuffix("deep") } == [
        "aa/bb/1", "aa/bb/2",
      ])
  }

  @Test(arguments: Driver.allCases) func manyThreadsMayWrite(_ driver: Driver) throws {
    let place = try Place(driver)
    DispatchQueue.concurrentPerform(iterations: 64) { index in
      // Half of them write the same object, and all of them make and remove the same folders.
      let path = index.isMultiple(of: 2) ? "backupstore/x/y/same" : "backupstore/x/y/\(index)"
      do {
        try place.write(path, String(repeating: "\(index % 10)", count: 50))
        if !index.isMultiple(of: 2) { try place.store.remove(path, deadline: .never) }
      } catch {
        Issue.record(error)
      }
    }
    let text = try #require(try place.read("backupstore/x/y/same"))
    #expect(text.count == 50 && Set(text).count == 1)
    #expect(try place.store.names(in: "backupstore/x/y", deadline: .never) == ["same"])
    try place.store.sync(deadline: .never)
  }
}
