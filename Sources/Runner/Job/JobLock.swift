import DroverModel
import LinuxSystem

/// The fence between two attempts of one job: `lock` in the job's folder, held until this process ends or the object
/// goes.
struct JobLock {
  private let file: OpenFile

  /// - Throws: Fault `locked`, transient, while another worker holds it.
  init(folder: String) throws {
    do {
      try Folder.create(folder, permissions: 0o700)
      file = try OpenFile.open("\(folder)/lock", .create(permissions: 0o600))
      guard try file.lockExclusiveSoon() else {
        throw Fault(
          .locked, "another attempt of this job is still running: \(folder)/lock is held", retry: .transient)
      }
      // What an attempt left that died while it was writing.
      for name in try Folder.list(folder) where Folder.isTemporary(name) {
        try Folder.remove(file: "\(folder)/\(name)")
      }
    } catch let error as SystemError {
      throw Fault(system: error)
    }
  }
}
