import Backupstore
import Compression
import Foundation
import TestKit

extension LockTiming {
  /// For stores that only this test uses: nothing has to settle.
  static let brisk = LockTiming(
    settle: 0, refresh: 60, expiry: 150, lease: 120, retry: 5, poll: 0.02, cleanup: 3600, patience: nil)
}

/// Backs up, restores and looks, on one store.
struct Workbench: Sendable {
  var store: any ObjectStore
  var target = try! StoreURL("file:///memory")
  var timing = LockTiming.brisk
  var clock: any StoreClock = SystemClock()
  var observer = RecordingObserver()
  var jobs = TemporaryFolder("jobs")

  var session: StoreSession { StoreSession(store: store, observer: observer, timing: timing, clock: clock) }

  /// On a folder of its own.
  static func folder(_ folder: TemporaryFolder) throws -> Workbench {
    let url = try StoreURL("file://\(folder.path)")
    return Workbench(store: try FileStore(url), target: url)
  }

  static func memory(_ clock: SimulatedClock = SimulatedClock()) -> (Workbench, MemoryStore) {
    let store = MemoryStore(clock: clock)
    return (Workbench(store: store, clock: clock), store)
  }

  func on(_ store: any ObjectStore) -> Workbench {
    var other = self
    other.store = store
    return other
  }

  func request(
    _ image: SourceImage, as name: String, method: CompressionMethod = .lz4, labels: [String: String] = [:],
    checkpoint: [UInt8]? = nil
  ) -> ImageBackupRequest {
    ImageBackupRequest(
      name: name, size: image.size, checksum: image.checksum, labels: labels, method: method, secret: "",
      secretNamespace: "", blockHashes: nil, jobFolder: jobs.path, checkpoint: checkpoint,
      readSource: { buffer, offset in
        buffer.copyBytes(from: image.bytes[Int(offset)..<(Int(offset) + buffer.count)])
      })
  }

  @discardableResult
  func backUp(
    _ image: SourceImage, as name: String, method: CompressionMethod = .lz4, labels: [String: String] = [:]
  ) throws -> ImageBackupResult {
    try backUp(image, request(image, as: name, method: method, labels: labels))
  }

  @discardableResult
  func backUp(_ image: SourceImage, _ request: ImageBackupRequest) throws -> ImageBackupResult {
    let backup = try ImageBackup.open(request, at: target, session)
    defer { backup.close() }
    try backup.write(image)
    try backup.flush()
    return try backup.commit(size: image.size, checksum: image.checksum)
  }

  /// The whole image.
  @discardableResult
  func restore(_ name: String) throws -> [UInt8] {
    let restore = try ImageRestore.open(ImageBackupURL(target: target, name: name), session)
    defer { restore.close() }
    return try restore.all()
  }

  /// Whether a restore gives exactly the image.
  func restores(_ name: String, _ image: SourceImage) throws -> Bool { same(try restore(name), image.bytes) }
}

/// Arrays compare byte by byte in a debug build; this does not.
func same(_ left: [UInt8], _ right: [UInt8]) -> Bool {
  left.count == right.count
    && left.withUnsafeBytes { left in
      right.withUnsafeBytes { right in left.isEmpty || memcmp(left.baseAddress!, right.baseAddress!, left.count) == 0 }
    }
}

extension ImageBackup {
  /// Every data block from `start` on, in order, and the holes.
  func write(_ image: SourceImage, from start: UInt64 = 0) throws {
    for offset in image.blocks where offset >= start {
      try image.bytes.withUnsafeBytes { bytes in
        try write(UnsafeRawBufferPointer(rebasing: bytes[image.range(offset)]), at: offset)
      }
    }
  }
}

extension ImageRestore {
  func all() throws -> [UInt8] {
    try [UInt8](unsafeUninitializedCapacity: Int(config.size)) { buffer, count in
      let buffer = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: Int(config.size))
      memset(buffer.baseAddress!, 0xff, buffer.count)
      try read(into: buffer, at: 0)
      count = buffer.count
    }
  }
}

/// A store of the fixtures, copied to where it may be changed.
func fixtureStore(_ method: String, in folder: TemporaryFolder) throws -> Workbench {
  try LonghornStore.copy(method, to: folder.path)
  return try Workbench.folder(folder)
}

func fixture(_ path: String) throws -> [UInt8] {
  Array(try Data(contentsOf: URL(filePath: "\(LonghornStore.fixtures)/\(path)")))
}

/// The error that `body` throws, or nil.
func storeError(_ body: () throws -> Void) -> StoreError? {
  do {
    try body()
    return nil
  } catch {
    return error as? StoreError ?? StoreError(.init(rawValue: "other"), "\(error)")
  }
}
