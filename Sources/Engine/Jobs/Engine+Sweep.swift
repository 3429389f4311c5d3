import DroverModel
import LinuxSystem
import Logging

// What the stages of a job have written into its folder goes with the job; its log stays.

extension Engine {
  /// The job is over: tries at once, and again from `sweepJobFolders()` where something was in the way.
  func sweepJobFolder(_ id: String) {
    unswept.insert(id)
    do { if try sweep(id) { unswept.remove(id) } } catch {
      logger.warning("job's folder not cleaned", metadata: ["job": "\(id)", "error": "\(error)"])
    }
  }

  /// Tries again where it was not possible before.
  func sweepJobFolders() {
    for id in unswept.sorted() { sweepJobFolder(id) }
  }

  /// False while the job is not over, or a worker of it is left.
  private func sweep(_ id: String) throws(SystemError) -> Bool {
    guard let machine = machines[id] else { return true }
    guard machine.record.job.state.isFinal, !machine.isWorking, sessions[id] == nil else { return false }
    if machine.record.needsFolder { return true }
    let folder = layout.job(id)
    let others = (try Folder.listIfPresent(folder) ?? []).filter { $0 != "lock" && $0 != "log" }
    if others.isEmpty { return true }
    // A worker of a daemon that was killed may be on its way out still.
    let lock = try OpenFile.open(layout.jobLock(id), .create(permissions: 0o640))
    guard try lock.tryLockExclusive() else { return false }
    defer { withExtendedLifetime(lock) {} }
    for name in others { try Folder.removeTree("\(folder)/\(name)") }
    return true
  }
}

extension JobRecord {
  /// A retry by hand may go on with what lies in the job's folder: a checkpoint's, or the note of a deletion that it has
  /// seen the last backup of its store listed.
  fileprivate var needsFolder: Bool { leftovers || (job.kind == .deleteBackup && job.state == .failed) }
}
