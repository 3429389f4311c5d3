import Backupstore
import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

/// What every driver promises; each one is run through all of it.
@Suite struct ObjectStoreContractTests {
  enum Driver: String, CaseIterable {
    case file
    /// The tests' own, so that what they show with it holds.
    case memory
    case rcloneS3, motoS3
    case rcloneNFS, ganeshaNFS3

    var isMissing: String? {
      switch self {
      case .file, .memory: nil
      case .rcloneS3: RcloneS3.isMissing
      case .motoS3: MotoS3.isMissing
      case .rcloneNFS: RcloneNFS.isMissing
      case .ganeshaNFS3: Ganesha.isMissing
      }
    }

    /// Those that can run here; the others are named with the reason.
    static let available: [Driver] = allCases.filter { driver in
      guard let reason = driver.isMissing else { return true }
      print("skipped: the contract of driver \(driver.rawValue): \(reason)")
      return false
    }

    /// Whether names mean their bytes alone; rclone gives some bytes of names a meaning of its own.
    var keepsOddNames: Bool { self != .rcloneS3 && self != .rcloneNFS }
  }

  struct Place {
    var store: any ObjectStore
    var folder = TemporaryFolder("store")
    var server: RcloneNFS?

    init(_ driver: Driver) throws {
      switch driver {
      case .file: store = try FileStore(StoreURL("file://\(folder.path)"))
      case .memory: store = MemoryStore(clock: SimulatedClock())
      case .rcloneS3:
        let server = try #require(RcloneS3.shared)
        store = try openStore(
          StoreURL("s3://\(server.makeBucket())@us-east-1/pre fix/ü"), credentials: server.credentials())
      case .motoS3:
        let server = try #require(MotoS3.shared)
        store = try openStore(StoreURL("s3://\(server.makeBucket())/"), credentials: server.credentials)
      case .rcloneNFS:
        let server = try RcloneNFS()
        self.server = server
        store = try openStore(StoreURL(server.url))
      case .ganeshaNFS3:
        let server = try #require(Ganesha.shared)
        store = try openStore(StoreURL(server.url(server.makeFolder(), version: 3)))
      }
    }

    /// Paths of the blocks of images, sorted.
    func blocks() throws -> [String] {
      var paths: [String] = []
      try store.visit(
        "backupstore/backing-images/blocks", depth: 3, deadline: .never, enter: { _ in true }
      ) { (path) throws(StoreError) in
        if path.hasSuffix(".blk") { paths.append("backupstore/backing-images/blocks/\(path)") }
      }
      return paths.sorted()
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

  @Test(arguments: Driver.available) func whatIsNotThereIsNil(_ driver: Driver) throws {
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

  @Test(arguments: Driver.available) func aWrittenObjectIsThere(_ driver: Driver) throws {
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

  @Test(arguments: Driver.available) func aFolderIsNoObject(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a/b", "x")
    #expect(try place.store.status(of: "backupstore/a", deadline: .never) == nil)
    #expect(try place.read("backupstore/a") == nil)
  }

  @Test(arguments: Driver.available) func anObjectLongerThanTheBufferIsAnError(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a", "12345678")
    #expect(storeError { _ = try place.read("backupstore/a", capacity: 7) }?.code == .badBlock)
  }

  @Test(arguments: Driver.available) func aRewriteMovesTheTime(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a", "x")
    let first = try #require(try place.store.status(of: "backupstore/a", deadline: .never)).modified
    try place.write("backupstore/a", "y")
    let second = try #require(try place.store.status(of: "backupstore/a", deadline: .never)).modified
    #expect(second >= first)
    #expect(first > 1_700_000_000 * 1_000_000_000)
  }

  @Test(arguments: Driver.available) func removingTakesOneObjectAndItsEmptyFolders(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a/nightly-1/x", "1")
    try place.write("backupstore/a/nightly-10/x", "10")
    try place.store.remove("backupstore/a/nightly-1/x", deadline: .never)
    #expect(try place.store.names(in: "backupstore/a", deadline: .never) == ["nightly-10"])
    #expect(try place.read("backupstore/a/nightly-10/x") == "10")
    try place.store.sync(deadline: .never)
  }

  @Test(arguments: Driver.available) func anObjectMovesWithinItsFolder(_ driver: Driver) throws {
    let place = try Place(driver)
    try place.write("backupstore/a/one.blk", "content")
    try place.write("backupstore/a/one.bad", "old")
    for _ in 1...2 {
      try place.store.move("backupstore/a/one.blk", to: "backupstore/a/one.bad", deadline: .never)
      try place.store.sync(deadline: .never)
      #expect(try place.store.names(in: "backupstore/a", deadline: .never) == ["one.bad"])
      #expect(try place.read("backupstore/a/one.bad") == "content", "one that is not there is fine")
    }
  }

  @Test(arguments: Driver.available) func visitsExactlyOneDepth(_ driver: Driver) throws {
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

  @Test(arguments: Driver.available) func manyThreadsMayWrite(_ driver: Driver) throws {
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

  @Test(arguments: Driver.available) func listsMoreThanAPage(_ driver: Driver) throws {
    // A page of S3 has a thousand names.
    let count = driver == .motoS3 || driver == .memory ? 1020 : 120
    let place = try Place(driver)
    let failures = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 8) { part in
      for index in stride(from: part, to: count, by: 8) {
        do {
          try place.write("backupstore/many/\(index)/x", "")
        } catch {
          failures.withLock { $0.append("\(error)") }
        }
      }
    }
    #expect(failures.withLock { $0 } == [])
    let names = try place.store.names(in: "backupstore/many", deadline: .never)
    #expect(names.count == count && Set(names).count == count)
    #expect(try place.visited("backupstore/many", depth: 2).count == count)
  }

  @Test(arguments: Driver.available) func largeObjectsComeBackWhole(_ driver: Driver) throws {
    let place = try Place(driver)
    var bytes = [UInt8](repeating: 0, count: 16 << 20)
    var random = SystemRandomNumberGenerator()
    bytes.withUnsafeMutableBytes { buffer in
      for offset in stride(from: 0, to: buffer.count, by: 8) {
        buffer.storeBytes(of: random.next(), toByteOffset: offset, as: UInt64.self)
      }
    }
    try bytes.withUnsafeBytes { try place.store.write("backupstore/large", $0, deadline: .never) }
    #expect(try place.store.status(of: "backupstore/large", deadline: .never)?.size == UInt64(bytes.count))
    // Room for more, room for exactly that, and for one byte less.
    for spare in [4096, 0] {
      var back = [UInt8](repeating: 0xff, count: bytes.count + spare)
      let count = try back.withUnsafeMutableBytes {
        try place.store.read("backupstore/large", into: $0, deadline: .never)
      }
      #expect(count == bytes.count)
      #expect(same(Array(back.prefix(bytes.count)), bytes))
    }
    var short = [UInt8](repeating: 0, count: bytes.count - 1)
    let error = storeError {
      _ = try short.withUnsafeMutableBytes { try place.store.read("backupstore/large", into: $0, deadline: .never) }
    }
    #expect(error?.code == .badBlock)
  }

  @Test(arguments: Driver.available) func oddNamesAreNames(_ driver: Driver) throws {
    let place = try Place(driver)
    var names = ["a b", "a+b", "ü", "a&b=c", "a~b", "(x)", "50,5"]
    if driver.keepsOddNames { names += ["100%", "a%20b", "\"q\"", "a<b>", "a'b", "#x", "a;b"] }
    // An accent that stands behind a slash: by letters, no slash is there.
    if driver.keepsOddNames && driver != .memory { names.append("\u{301}x") }
    for name in names { try place.write("backupstore/odd/\(name)", name) }
    for name in names { #expect(try place.read("backupstore/odd/\(name)") == name, "\(name)") }
    let listed = try place.store.names(in: "backupstore/odd", deadline: .never)
    #expect(Set(listed.map { Array($0.utf8) }) == Set(names.map { Array($0.utf8) }))
    #expect(Set(try place.visited("backupstore", depth: 2)) == Set(names.map { "odd/\($0)" }))
    for name in names { try place.store.remove("backupstore/odd/\(name)", deadline: .never) }
    #expect(try place.store.names(in: "backupstore/odd", deadline: .never) == [])
  }

  @Test(arguments: Driver.available.filter { $0 != .memory }) func aDeadlineThatIsOverEndsACall(_ driver: Driver) throws
  {
    let place = try Place(driver)
    try place.write("backupstore/x", "x")
    let over = Deadline.after(seconds: -1)
    var byte: [UInt8] = [0]
    let calls: [() throws -> Void] = [
      { _ = try place.store.status(of: "backupstore/x", deadline: over) },
      { _ = try place.store.names(in: "backupstore", deadline: over) },
      { _ = try byte.withUnsafeMutableBytes { try place.store.read("backupstore/x", into: $0, deadline: over) } },
      { try byte.withUnsafeBytes { try place.store.write("backupstore/x", $0, deadline: over) } },
      { try place.store.remove("backupstore/x", deadline: over) },
    ]
    for call in calls { #expect(storeError(call)?.code == .timedOut) }
    #expect(try place.read("backupstore/x") == "x")
  }

  @Test(arguments: Driver.available) func aBackupIsMadeAndRestored(_ driver: Driver) throws {
    let place = try Place(driver)
    let bench = Workbench(store: place.store)
    try bench.backUp(.parrot, as: "parrot")
    #expect(try bench.restores("parrot", .parrot))
    let again = try bench.backUp(.parrot, as: "parrot")
    #expect(again.uploadedBytes == 0)
    let deleted = try ImageDeletion.delete("parrot", bench.session)
    #expect(deleted.existed && deleted.removedBlocks > 0)
    #expect(try place.store.names(in: "backupstore/backing-images/blocks", deadline: .never) == [])
  }

  @Test(arguments: Driver.available) func aBadBlockIsFoundMovedAsideAndWrittenAgain(_ driver: Driver) throws {
    let place = try Place(driver)
    let bench = Workbench(store: place.store)
    try bench.backUp(.parrot, as: "parrot")
    var options = StoreVerification.Options(scope: .all)
    options.threads = 3
    let verification = StoreVerification(options, bench.session)
    #expect(try verification.run().backups.map(\.state) == [.good])
    let blocks = try place.blocks()
    try place.write(blocks[0], "garbage")
    let report = try verification.run()
    #expect(report.backups.map(\.state) == [.damaged] && report.asideBlocks == 1)
    #expect(try place.blocks() == Array(blocks.dropFirst()))
    let result = try bench.backUp(.parrot, as: "parrot")
    #expect(result.uploadedBytes > 0)
    #expect(try verification.run().backups.map(\.state) == [.good])
    #expect(try bench.restores("parrot", .parrot))
    // What was moved aside goes with the next collection.
    let collected = try StoreCollection.run(dryRun: false, threads: 2, bench.session)
    #expect(collected.map(\.removedBlocks) == [0] && collected[0].kept == nil)
    var left: [String] = []
    try place.store.visit(
      "backupstore/backing-images/blocks", depth: 3, deadline: .never, enter: { _ in true }
    ) { (path) throws(StoreError) in left.append(path) }
    #expect(left.count == blocks.count && left.allSatisfy { $0.hasSuffix(".blk") })
  }
}
