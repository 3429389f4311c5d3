import DroverModel
import LinuxSystem

/// Where things lie below STATE.
struct StateLayout: Sendable, Hashable {
  let root: String

  var lock: String { "\(root)/lock" }
  var catalog: String { "\(root)/catalog.sqlite" }
  var images: String { "\(root)/images" }
  var volumes: String { "\(root)/volumes" }
  var jobs: String { "\(root)/jobs" }
  /// The embedded store of the target `default`.
  var store: String { "\(root)/store" }
  /// For the daemon's user alone: what seals secrets, and the lock under which keys are derived.
  var keys: String { "\(root)/keys" }

  func image(_ name: String, _ uuid: String) -> String { "\(images)/\(name)-\(uuid)" }
  func job(_ id: String) -> String { "\(jobs)/\(id)" }
  /// Held by a worker as long as it lives.
  func jobLock(_ id: String) -> String { "\(job(id))/lock" }
  func log(_ id: String) -> String { "\(job(id))/log" }

  /// An image's folder on its way out. No image's name begins with a dot.
  func removed(_ name: String, _ uuid: String) -> String { "\(images)/.removed-\(name)-\(uuid)" }

  /// Of a question to a worker that is no job; lives as long as the question.
  func call(_ id: String) -> String { "\(jobs)/call-\(id)" }

  /// Removes what questions of a daemon that crashed have left. Under the lock only.
  func sweep() {
    for name in (try? Folder.list(jobs)) ?? [] where name.hasPrefix("call-") {
      try? Folder.removeTree("\(jobs)/\(name)")
    }
  }

  /// A state folder with images or volumes and without a catalog has lost it: an empty one in its place would forget them all.
  /// - Throws: A Fault: `conflict` in that case, `io` where nobody knows.
  func checkCatalog() throws {
    do {
      if let status = try FileStatus.of(catalog), status.size > 0 { return }
      for (folder, what) in [(images, "images"), (volumes, "volumes")] {
        let kept = try Folder.list(folder).filter { !$0.hasPrefix(".") }
        guard let first = kept.first else { continue }
        throw Fault(
          .conflict,
          "the state folder \(root) holds \(kept.count) \(what) (\(first)), but its catalog \(catalog) is gone or empty",
          hint: "put a copy of the catalog back; or move \(folder) away, start anew, and bring the \(what) in again")
      }
    } catch let error as SystemError {
      throw Fault(.io, "could not look for the catalog \(catalog): \(error)")
    }
  }

  /// Makes the folders and takes the lock, which lives as long as the file that is returned.
  /// - Throws: A Fault: `conflict` naming the holder where another daemon has it, `io` otherwise.
  func claim(pid: Int32) throws -> OpenFile {
    do {
      try Folder.create(root, permissions: 0o750)
      let file = try OpenFile.open(lock, .create(permissions: 0o640))
      guard try file.tryLockExclusive() else {
        let holder = (try? Folder.readFile(lock, limit: 64)).map { String(decoding: $0, as: UTF8.self) } ?? ""
        let name = holder.isEmpty ? "another process" : "process \(holder.prefix { $0 != "\n" })"
        throw Fault(
          .conflict, "the state folder \(root) is in use by \(name)", hint: "stop that daemon, or give another --state")
      }
      try file.truncate(to: 0)
      try Array("\(pid)\n".utf8).withUnsafeBytes { try file.write($0, at: 0) }
      for folder in [images, volumes, store] { try Folder.create(folder, permissions: 0o755) }
      try Folder.create(jobs, permissions: 0o750)
      try Folder.create(keys, permissions: 0o700)
      return file
    } catch let error as SystemError {
      throw Fault(.io, "could not set up the state folder \(root): \(error)")
    }
  }
}
