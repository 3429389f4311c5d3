import Glibc
public import LinuxSystem

extension StageError {
  /// What a failed system call means for a job. StageKit applies it to every `SystemError` that a stage lets through.
  public init(system error: SystemError) {
    let (code, retry): (String, Retry) =
      switch error.errno {
      case _ where error.isNoSpace: ("no-space", .never)
      case _ where error.isAbsent: ("not-found", .never)
      case EACCES, EPERM, EROFS: ("not-permitted", .afterFix)
      case EINVAL, EISDIR, ELOOP, ENAMETOOLONG, EOPNOTSUPP: ("io", .never)
      default: ("io", .transient)
      }
    self.init(code, error.description, retry: retry, systemError: error.errno)
  }
}
