import Glibc
import LinuxSystem

extension StoreError {
  /// What a failed system call means for a store that is a folder.
  init(system error: SystemError, url: String, writing: Bool) {
    switch error.errno {
    case ENOSPC, EDQUOT:
      self.init(
        .noSpace, "the target \(url) is full: \(error)", hint: "make room there, then try again",
        systemError: error.errno)
    case EFBIG:
      self.init(.noSpace, "the target \(url) takes no file so long: \(error)", systemError: error.errno)
    case EACCES, EPERM, EROFS:
      if writing {
        self.init(
          .notPermitted, "the target \(url) may not be written: \(error)",
          hint: "let this user write there, or mount it writable", systemError: error.errno)
      } else {
        self = .unreachable(url, error)
      }
    case ESTALE, ENODEV, ENXIO, ENOTCONN, EHOSTDOWN, EHOSTUNREACH, ELOOP, ENAMETOOLONG: self = .unreachable(url, error)
    case ENOENT, ENOTDIR:
      self.init(.io, "something in the target \(url) is in the way: \(error)", systemError: error.errno)
    default: self.init(.io, "the target \(url) failed: \(error)", systemError: error.errno)
    }
  }

  static func unreachable(_ url: String, _ error: SystemError) -> StoreError {
    let hint =
      switch error.errno {
      case ENOENT: "make the folder, or mount what belongs there"
      case ENOTDIR: "a target must be a folder"
      case EACCES, EPERM: "let this user read the folder"
      default: "see whether the file system is still there"
      }
    return StoreError(
      .targetUnreachable, "the target \(url) can't be used: \(error)", hint: hint, systemError: error.errno)
  }
}
