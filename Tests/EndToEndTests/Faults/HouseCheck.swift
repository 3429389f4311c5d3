import Backupstore
import DroverModel
import GRDB
import Glibc
import LinuxSystem
import OpenSSL
import TestKit
import Testing

/// Looks whether everything is as it must be once all jobs are over: nothing lost, nothing left, nothing twice.
struct HouseCheck {
  let host: DroverHost

  /// - Parameters:
  ///   - images: Name and SHA-512 of each image that must be ready; there are no others.
  ///   - backups: The same of each backup in the embedded store.
  func run(images: [String: String], backups: [String: String], note: String = "") throws {
    try checkJobs(note)
    try checkImages(images, note)
    try checkLeftovers(host.state, note)
    try Self.checkStore(host.store, backups: backups, note)
    try checkCatalog(note)
    try checkFences(note)
  }

  private func checkJobs(_ note: String) throws {
    let status = try host.run("status", "-o", "json").json
    Findings.check(status["workers"]?.array?.isEmpty == true, "\(note): \(status)")
    Findings.check(status["reservedBytes"] == 0, "\(note): \(status)")
    for job in try host.run("job", "list", "-o", "json").json["items"]?.array ?? [] {
      let state = Job.State(rawValue: job["status"]?["state"]?.string ?? "")
      Findings.check(state?.isFinal == true, "\(note): \(job)")
    }
  }

  private func checkImages(_ images: [String: String], _ note: String) throws {
    var folders: Set<String> = []
    for item in try host.run("get", "backingimage", "-o", "json").json["items"]?.array ?? [] {
      let name = item["metadata"]?["name"]?.string ?? ""
      guard let checksum = images[name] else {
        Findings.check(false, "\(note): there should be no image \(name)")
        continue
      }
      Findings.check(item["status"]?["state"] == "ready", "\(note): \(item)")
      Findings.check(item["status"]?["checksum"]?.string == checksum, "\(note): \(item)")
      guard let path = item["status"]?["path"]?.string else { continue }
      Findings.check(try TestImage.sha512(of: path) == checksum, "\(note): the bytes of \(name)")
      let folder = Folder.parent(of: path)
      Findings.check(
        try Folder.list(folder) == ["backing", "backing.blocks", "backing.cfg"], "\(note): what is in \(folder)")
      folders.insert(String(folder.split(separator: "/").last ?? ""))
    }
    Findings.check(folders.count == images.count, "\(note): \(folders.count) images with files of \(images.count)")
    let there = Set(try host.imageFolders())
    Findings.check(there == folders, "\(note): in the images folder: \(there.symmetricDifference(folders))")
  }

  /// No temporary anywhere, and nothing in a job's folder but its lock and log.
  private func checkLeftovers(_ folder: String, _ note: String) throws {
    let files = try Self.files(in: folder)
    let left = files.filter { $0.contains(".tmp.") || $0.contains(".partial") || $0.hasSuffix(".lck") }
    Findings.check(left == [], "\(note): left: \(left)")
    // The daemon may have met an error there: it tries again every ten seconds.
    try? until("the jobs' folders are empty", within: 60) { try jobFiles(folder).isEmpty }
    let jobs = try jobFiles(folder)
    Findings.check(jobs == [], "\(note): left in the jobs' folders: \(jobs)")
  }

  private func jobFiles(_ folder: String) throws -> [String] {
    try Self.files(in: "\(folder)/jobs").filter { !$0.hasSuffix("/lock") && !$0.hasSuffix("/log") }
  }

  /// Paths below the folder of everything that is no folder.
  static func files(in folder: String) throws -> [String] {
    var found: [String] = []
    for name in try Folder.listIfPresent(folder) ?? [] {
      guard let status = try FileStatus.of("\(folder)/\(name)", followLinks: false) else { continue }
      if status.isFolder {
        found += try files(in: "\(folder)/\(name)").map { "\(name)/\($0)" }
      } else {
        found.append(name)
      }
    }
    return found
  }

  /// Every backup is complete, each block that its config names is there and has its hash, and the whole has the
  /// image's checksum. No lock, no temporary.
  static func checkStore(_ path: String, backups: [String: String], _ note: String = "") throws {
    let names = try Folder.listIfPresent("\(path)/backupstore/backing-images/backing-images") ?? []
    Findings.check(Set(names) == Set(backups.keys), "\(note): the store has \(names), not \(backups.keys)")
    let locks = "\(path)/backupstore/volumes/22/fc/BACKINGIMAGE/locks"
    let held = try Folder.listIfPresent(locks) ?? []
    Findings.check(held == [], "\(note): locks in the store: \(held)")
    let unfinished = try files(in: path).filter { $0.contains(".tmp.") }
    Findings.check(unfinished == [], "\(note): unfinished in the store: \(unfinished)")
    try checkStoreContent(path, backups: backups, note)
  }

  /// The backups alone, while others still use the store.
  static func checkStoreContent(_ path: String, backups: [String: String], _ note: String = "") throws {
    let names = try Folder.listIfPresent("\(path)/backupstore/backing-images/backing-images") ?? []
    let url = try StoreURL("file://\(path)")
    for (name, checksum) in backups where names.contains(name) {
      let session = StoreSession(store: try FileStore(url), observer: Silent(), timing: .brisk)
      let restore = try ImageRestore.open(ImageBackupURL(target: url, name: name), session)
      defer { restore.close() }
      Findings.check(restore.config.checksum == checksum, "\(note): the config of \(name)")
      var digest = SHA512()
      let size = restore.config.size
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 << 20, alignment: 4096)
      defer { buffer.deallocate() }
      for offset in stride(from: UInt64(0), to: size, by: buffer.count) {
        let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(UInt64(buffer.count), size - offset))])
        try restore.read(into: part, at: offset)
        digest.update(UnsafeRawBufferPointer(part))
      }
      Findings.check(hexadecimal(digest.finish()) == checksum, "\(note): the blocks of \(name)")
    }
  }

  /// The labels in the config of an image's backup.
  static func labels(of name: String, in path: String) throws -> [String: String]? {
    let url = try StoreURL("file://\(path)")
    let session = StoreSession(store: try FileStore(url), observer: Silent(), timing: .brisk)
    let restore = try ImageRestore.open(ImageBackupURL(target: url, name: name), session)
    defer { restore.close() }
    return restore.config.labels
  }

  private func checkCatalog(_ note: String) throws {
    var configuration = GRDB.Configuration()
    configuration.readonly = true
    let catalog = try DatabaseQueue(path: "\(host.state)/catalog.sqlite", configuration: configuration)
    let (verdict, strays, checkpoints) = try catalog.read { database in
      (
        try String.fetchAll(database, sql: "PRAGMA integrity_check"),
        try Row.fetchAll(database, sql: "PRAGMA foreign_key_check").count,
        try Int.fetchOne(database, sql: "SELECT count(*) FROM checkpoint")
      )
    }
    Findings.check(verdict == ["ok"], "\(note): the catalog: \(verdict)")
    Findings.check(strays == 0, "\(note): the catalog has \(strays) rows that refer to nothing")
    Findings.check(checkpoints == 0, "\(note): \(checkpoints ?? 0) checkpoints of jobs that are over")
    try catalog.close()
  }

  /// Two workers never wrote for one job at once: what one persisted in the job's own places lies wholly before or
  /// after what another did.
  private func checkFences(_ note: String) throws {
    guard let effects = host.effects else { return }
    var writers: [String: [Int32]] = [:]
    let ordered = try effects.trace().filter { $0.role == "worker" }.sorted { $0.nanoseconds < $1.nanoseconds }
    for effect in ordered {
      guard let place = Self.place(of: effect.path, state: host.state) else { continue }
      if writers[place]?.last != effect.pid { writers[place, default: []].append(effect.pid) }
    }
    for (place, pids) in writers {
      Findings.check(Set(pids).count == pids.count, "\(note): \(place) was written by \(pids) in turns")
    }
  }

  /// `images/NAME-UUID.partial` or `jobs/ID`; nil for what jobs share.
  private static func place(of path: String, state: String) -> String? {
    guard path.hasPrefix(state + "/") else { return nil }
    let parts = path.dropFirst(state.utf8.count + 1).split(separator: "/")
    guard parts.count >= 2, parts[0] == "images" || parts[0] == "jobs" else { return nil }
    return "\(parts[0])/\(parts[1])"
  }

  private struct Silent: StoreObserver {
    var isCancelled: Bool { false }
    func log(_ level: StoreLogLevel, _ message: String) {}
    func phase(_ phase: String, _ detail: String?) {}
    func progress(done: UInt64, total: UInt64) {}
  }
}

extension LockTiming {
  /// For looking at a store that nobody else uses.
  fileprivate static let brisk = LockTiming(
    settle: 0, refresh: 60, expiry: 150, lease: 120, retry: 5, poll: 0.02, cleanup: 3600, patience: 10)
}
