import DroverModel
import LinuxSystem

/// The fence between two exports of one volume, held until it is let go or this process ends.
struct ExportLock {
  private let file: OpenFile

  /// - Throws: Fault `locked`, transient, while another export holds it.
  init(_ path: String, name: String) throws {
    do {
      file = try OpenFile.open(path, .create(permissions: 0o600), followLinks: false)
      guard try file.tryLockExclusive() else {
        throw Fault(
          .locked, "\(name) is attached already: another export holds \(path)",
          hint: "detach it first", retry: .transient)
      }
    } catch let error as SystemError {
      throw Fault(system: error)
    }
  }
}
