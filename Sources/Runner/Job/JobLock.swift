import DroverModel
import Glibc
import LinuxSystem

/// The fence between two attempts of one job: `lock` in the job's folder, held until this process ends or the object
/// goes.
struct JobLock {
  private let file: OpenFile

  /// Seconds that a holder's child may take to its exec: until then it has the descriptor too.
  private static let patience = 2.0

  /// - Throws: Fault `locked`, transient, while another worker holds it.
  init(folder: String) throws {
    do {
      try Folder.create(folder, permissions: 0o700)
      file = try OpenFile.open("\(folder)/lock", .create(permissions: 0o600))
      let end = BootClock.seconds() + Self.patience
      var isHeld = try file.tryLockExclusive()
      while !isHeld, BootClock.seconds() < end {
        usleep(20_000)
        isHeld = try file.tryLockExclusive()
      }
      guard isHeld else {
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
