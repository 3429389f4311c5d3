import DroverModel
import Foundation
import LinuxSystem
import StageKit
import Synchronization
import TestKit
import Testing

@testable import BackupStage
@testable import Backupstore

/// Looks at what a store holds.
@Suite struct StoreSyncTests {
  /// Counts which configs are read.
  private final class CountingStore: ObjectStore {
    private let inner: any ObjectStore
    private let read = Mutex<[String]>([])
    private let hidden = Mutex<Set<String>>([])

    init(_ inner: any ObjectStore) { self.inner = inner }

    var url: String { inner.url }
    func takeReads() -> [String] {
      read.withLock { reads in
        defer { reads = [] }
        return reads
      }
    }
    /// Left out of listings, as a server does whose listings are behind.
    func hide(_ path: String) { hidden.withLock { _ = $0.insert(path) } }

    func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
      try inner.status(of: path, deadline: deadline)
    }
    func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
      try inner.names(in: folder, deadline: deadline)
    }
    func visit(
      _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
      visit: (String) throws(StoreError) -> Void
    ) throws(StoreError) {
      try inner.visit(folder, depth: depth, deadline: deadline, enter: enter, visit: visit)
    }
    func survey(
      _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
      visit: (String, String) throws(StoreError) -> Void
    ) throws(StoreError) {
      let hidden = hidden.withLock { $0 }
      try inner.survey(folder, depth: depth, deadline: deadline, enter: enter) { (path, version) throws(StoreError) in
        if !hidden.contains(path) { try visit(path, version) }
      }
    }
    func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(StoreError)
      -> Int?
    {
      read.withLock { $0.append(path) }
      return try inner.read(path, into: buffer, deadline: deadline)
    }
    func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
      try inner.write(path, bytes, deadline: deadline)
    }
    func sync(deadline: Deadline) throws(StoreError) { try inner.sync(deadline: deadline) }
    func remove(_ path: String, deadline: Deadline) throws(StoreError) {
      try inner.remove(path, deadline: deadline)
    }
  }

  private struct Look {
    var images: [String: ImageConfig] = [:]
    var backups: [String: (config: VolumeBackupConfig, image: String?)] = [:]
    var bad: [String] = []
    var gone: [String] = []
    var seen = SeenBackups()
    var summary = StoreSync.Summary()
  }

  /// One look, and what is seen after it.
  private func look(_ store: any ObjectStore, _ seen: SeenBackups = SeenBackups()) throws -> Look {
    var look = Look(seen: seen)
    look.summary = try StoreSync(store, observer: RecordingObserver()).run(seen) { finding in
      switch finding {
      case .image(let name, let version, let config):
        look.seen.images[name] = version
        do throws(StoreError) { look.images[name] = try config.get() } catch { look.bad.append(name) }
      case .backup(let name, let volume, let version, let config, let image):
        look.seen.backups["\(volume)/\(name)"] = version
        do throws(StoreError) { look.backups["\(volume)/\(name)"] = (try config.get(), image) } catch {
          look.bad.append(name)
        }
      case .goneImage(let name):
        look.seen.images[name] = nil
        look.gone.append(name)
      case .goneBackup(let name, let volume):
        look.seen.backups["\(volume)/\(name)"] = nil
        look.gone.append("\(volume)/\(name)")
      }
    }
    return look
  }

  /// What the server says of an object that is written now.
  private func modified(_ store: any ObjectStore) throws -> Int64? {
    let path = "backupstore/probe"
    try store.write(path, document: [0])
    return try store.status(of: path, deadline: .never)?.modified
  }

  private func put(_ name: String, _ text: String, _ store: any ObjectStore) throws {
    try store.write("backupstore/backing-images/backing-images/\(name)/backing-image.cfg", document: Array(text.utf8))
  }

  private static func config(_ name: String, labels: [String: String] = [:], complete: String = "2026-01-01T00:00:00Z")
    -> String
  {
    let config = ImageConfig(
      name: name, size: 2 << 20, checksum: String(repeating: "ab", count: 64), labels: labels, completeTime: complete)
    return String(decoding: config.encoded(), as: UTF8.self)
  }

  @Test(arguments: ObjectStoreContractTests.Driver.available) func onlyWhatChangedIsRead(
    _ driver: ObjectStoreContractTests.Driver
  ) throws {
    let place = try ObjectStoreContractTests.Place(driver)
    let store = CountingStore(place.store)
    for name in ["one", "two", "three"] { try put(name, Self.config(name), store) }
    let first = try look(store)
    #expect(first.images.keys.sorted() == ["one", "three", "two"])
    #expect(first.summary == .init(images: 3, read: 3))
    _ = store.takeReads()

    let second = try look(store, first.seen)
    #expect(second.images.isEmpty && second.gone.isEmpty)
    #expect(second.summary == .init(images: 3))
    #expect(store.takeReads() == [])

    // Of the same length, so that only its time or its hash tells; some servers tell whole seconds only, and what is in
    // memory has a clock that stands.
    if driver != .memory {
      let before = try modified(store)
      try until("the server's clock goes on") { try modified(store) != before }
    }
    try put("two", Self.config("two", labels: ["k": "v"]), store)
    try put("four", Self.config("four", complete: ""), store)
    try store.remove("backupstore/backing-images/backing-images/one/backing-image.cfg", deadline: .never)
    let third = try look(store, second.seen)
    #expect(third.images.keys.sorted() == ["four", "two"])
    #expect(third.images["two"]?.labels == ["k": "v"])
    #expect(third.images["four"]?.isComplete == false)
    #expect(third.gone == ["one"])
    #expect(third.summary == .init(images: 3, read: 2, gone: 1))
    #expect(store.takeReads().count == 2)
  }

  @Test func aFileThatIsReplacedAtTheSameTimeIsSeen() throws {
    let folder = TemporaryFolder("store")
    let store = try FileStore(StoreURL("file://\(folder.path)"))
    try put("one", Self.config("one", labels: ["k": "a"]), store)
    let first = try look(store)
    let path = folder("backupstore/backing-images/backing-images/one/backing-image.cfg")
    let modified = try FileManager.default.attributesOfItem(atPath: path)[.modificationDate]!
    try put("one", Self.config("one", labels: ["k": "b"]), store)
    try FileManager.default.setAttributes([.modificationDate: modified], ofItemAtPath: path)
    #expect(try look(store, first.seen).images["one"]?.labels == ["k": "b"])
  }

  @Test func aListingThatIsBehindTakesNothingAway() throws {
    let (bench, memory) = Workbench.memory()
    _ = bench
    let store = CountingStore(memory)
    for name in ["one", "two"] { try put(name, Self.config(name), store) }
    let first = try look(store)
    store.hide("one/backing-image.cfg")
    let second = try look(store, first.seen)
    #expect(second.gone.isEmpty)
  }

  @Test func aStoreThatShowsNothingAtAllTakesNothingAway() throws {
    let folder = TemporaryFolder("store")
    let store = try FileStore(StoreURL("file://\(folder.path)"))
    try put("one", Self.config("one"), store)
    let first = try look(store)
    // As a mount point looks without its file system.
    try Folder.rename(folder("backupstore"), folder("elsewhere"))
    let second = try look(store, first.seen)
    #expect(second.summary.isVanished && second.gone.isEmpty)
    #expect(try look(store).summary.isVanished == false)
    // A store whose last backup was deleted still shows that it is one.
    try Folder.create(folder("backupstore"))
    let third = try look(store, first.seen)
    #expect(!third.summary.isVanished && third.gone == ["one"])
  }

  @Test func foreignThingsAreNoBackups() throws {
    let folder = TemporaryFolder("store")
    let store = try FileStore(StoreURL("file://\(folder.path)"))
    let images = "backupstore/backing-images/backing-images"
    try put("good", Self.config("other-name"), store)
    for name in ["a b", "ü", "-x", "x", String(repeating: "n", count: 190) + ".cfg.x"] {
      try put(name, Self.config("good"), store)
    }
    try store.write("\(images)/loose", document: [1])
    try store.write("\(images)/good/backing-image.cfg.tmp.123", document: [1])
    try store.write("\(images)/left.tmp.123/backing-image.cfg", document: [1])
    try Folder.create(folder("\(images)/empty"))
    try Folder.create(folder("\(images)/folder/backing-image.cfg"))
    try store.write("foreign/backupstore/backing-images/backing-images/x/backing-image.cfg", document: [1])
    let found = try look(store)
    #expect(found.images.keys.sorted().filter { !$0.hasPrefix("nnn") } == ["good"])
    #expect(found.images["good"]?.name == "good")
    #expect(found.bad.isEmpty)
  }

  /// What Longhorn has written.
  @Test(arguments: ["none", "gzip", "lz4"]) func volumesBackupsAreSeen(_ method: String) throws {
    let folder = TemporaryFolder("store")
    let store = CountingStore(try fixtureStore(method, in: folder).store)
    let first = try look(store)
    #expect(first.images.keys.sorted() == ["parrot"])
    #expect(first.backups.keys.sorted() == ["macaw-vol/backup-delta2", "macaw-vol/backup-full1"])
    #expect(first.summary == .init(images: 1, backups: 2, read: 3))
    let delta = try #require(first.backups["macaw-vol/backup-delta2"])
    #expect(delta.config.isComplete && delta.config.isIncremental && delta.config.volumeName == "macaw-vol")
    _ = store.takeReads()
    #expect(try look(store, first.seen).summary == .init(images: 1, backups: 2))
    #expect(store.takeReads() == [])
    try store.remove(StoreLayout.volumeBackup("backup-delta2", of: "macaw-vol"), deadline: .never)
    try store.write(StoreLayout.volumeBackup("bad", of: "macaw-vol"), document: Array("{".utf8))
    try store.write("backupstore/volumes/00/00/macaw-vol/backups/backup_elsewhere.cfg", document: Array("{".utf8))
    let second = try look(store, first.seen)
    #expect(second.gone == ["macaw-vol/backup-delta2"] && second.bad == ["bad"])
    #expect(second.backups.isEmpty)
  }

  @Test func aBadConfigIsToldAndStopsNothing() throws {
    let (_, store) = Workbench.memory()
    try put("bad", "{\"Name\":", store)
    try put("good", Self.config("good"), store)
    let first = try look(store)
    #expect(first.bad == ["bad"] && first.images.keys.sorted() == ["good"])
    // It is not read again before it changes.
    #expect(try look(store, first.seen).bad.isEmpty)
  }

  /// A server that takes its time for each object answers eight at once; what is told is told as if it were one.
  @Test func configsAreReadSeveralAtOnceAndToldInOrder() throws {
    let (_, memory) = Workbench.memory()
    let names = (10..<40).map { "image-\($0)" }
    for name in names { try put(name, Self.config(name), memory) }
    try put("image-13", "{", memory)
    let volume = try VolumeStore([1], in: memory)
    struct Reading {
      var now = 0
      var most = 0
      /// They did not come in time, so nobody else waits for them.
      var isLate = false
    }
    let reading = Monitor(Reading())
    // The first eight come back when all of them are there, in whatever order.
    let store = ReactingStore(memory) { call in
      guard case .read(let path) = call, path.contains("image-1") else { return }
      reading.change {
        $0.now += 1
        $0.most = max($0.most, $0.now)
      }
      let isThere: Void? = reading.wait(atMost: 60) { $0.most >= 8 || $0.isLate ? () : nil }
      reading.change {
        $0.now -= 1
        $0.isLate = $0.isLate || isThere == nil
      }
    }
    var told: [String] = []
    let summary = try StoreSync(store, observer: RecordingObserver()).run(SeenBackups()) { finding in
      switch finding {
      case .image(let name, _, let config):
        told.append(name)
        #expect(((try? config.get()) == nil) == (name == "image-13"))
      case .backup(let name, let volume, _, _, _): told.append("\(volume)/\(name)")
      default: Issue.record("\(finding)")
      }
    }
    #expect(told == names + ["\(volume.volume.name)/\(volume.backup.name)"])
    #expect(reading.withLock { $0.most } == 8, "and never more")
    #expect(summary == .init(images: 30, backups: 1, read: 31))
  }

  /// The error is that of the first config that has one, whichever answers first, and nothing behind it is told.
  @Test func theFirstErrorInOrderCounts() throws {
    let (_, memory) = Workbench.memory()
    for index in 10..<30 { try put("image-\(index)", Self.config("x"), memory) }
    for _ in 1...10 {
      var told: [String] = []
      let error = storeError {
        _ = try StoreSync(FaultyStore(memory, .reading("3/backing-image.cfg")), observer: RecordingObserver())
          .run(SeenBackups()) { finding in
            if case .image(let name, _, _) = finding { told.append(name) }
          }
      }
      #expect(error?.code == .io)
      #expect(told == ["image-10", "image-11", "image-12"])
    }
  }

  /// Whatever call fails, the look fails, and nothing was called gone that is there.
  @Test func everyCallThatFailsFailsTheLook() throws {
    let (_, memory) = Workbench.memory()
    for name in ["one", "two", "three"] { try put(name, Self.config(name), memory) }
    var seen = try look(memory).seen
    seen.images["was"] = "1 1"
    seen.images["one"] = ""
    var nth = 1
    while true {
      let store = FaultyStore(memory, .call(nth))
      var gone: [String] = []
      let error = storeError {
        _ = try StoreSync(store, observer: RecordingObserver()).run(seen) { finding in
          if case .goneImage(let name) = finding { gone.append(name) }
        }
      }
      #expect(gone.allSatisfy { $0 == "was" })
      if store.calls < nth {
        #expect(error == nil && gone == ["was"])
        break
      }
      #expect(error?.code == .io, "call \(nth)")
      nth += 1
    }
    #expect(nth > 5)
  }
}

/// The stage `sync-target`.
@Suite struct SyncStageTests {
  private let store = TemporaryFolder("store")
  private let job = TemporaryFolder("job")
  private let host = StageTests.TestHost()

  private func run(_ target: String) throws {
    try SyncTargetTask.run(
      .init(role: .task, writable: false, params: #"{"target":"\#(target)"}"#, job: "job", jobFolder: job.path),
      host: host)
  }

  @Test func tellsWhatIsNewAndWhatIsGone() throws {
    let bench = try Workbench.folder(store)
    try bench.backUp(.parrot, as: "parrot", labels: ["k": "v"])
    try run("file://\(store.path)")
    let found = try host.record("image")
    #expect(found["backingImage"] as? String == "parrot" && found["state"] as? String == "Completed")
    #expect(found["url"] as? String == "file://\(store.path)?backingImage=parrot")
    #expect(found["labels"] as? [String: String] == ["k": "v"])
    let version = try #require(found["version"] as? String)
    #expect(try host.record("result")["available"] as? Bool == true)

    let seen = #"{"images":{"parrot":"\#(version)","was":"1 2"}}"#
    try Folder.writeDurably(job("seen"), Array(seen.utf8))
    try run("file://\(store.path)")
    #expect(host.records.filter { $0.kind == "image" }.count == 1)
    #expect(try host.record("gone")["backingImage"] as? String == "was")
    #expect(try host.record("result")["gone"] as? Int == 1)
  }

  @Test func aTargetThatIsNotThereIsAnAnswer() throws {
    try run("file://\(store.path)/absent")
    let result = try host.record("result")
    #expect(result["available"] as? Bool == false && result["code"] as? String == "target-unreachable")
  }

  @Test func aDamagedNoteOfWhatWasSeenIsAnError() throws {
    try Folder.writeDurably(job("seen"), Array("{".utf8))
    #expect(throws: (any Error).self) { try run("file://\(store.path)") }
  }
}
