import Glibc
import NFS

extension NFSError {
  static let replacedRoot = NFSError(
    refused: ESTALE, "another folder answers than when the target was opened, or none at all")
}

extension StoreError {
  /// Why a target could not be opened.
  init(nfs error: NFSError, opening url: String) {
    let hint =
      switch (error.kind, error.errno) {
      case (.refused, ENOENT), (.refused, ENOTDIR): "make the folder on the server, or correct the path"
      case (.refused, EACCES), (.refused, EPERM): "let the server export it to this host and user"
      case (.refused, _): "see what the server exports"
      default: "see whether the server runs, and give its port and mountport in nfsOptions where it has no port mapper"
      }
    self.init(.targetUnreachable, "the target \(url) can't be used: \(error)", hint: hint, systemError: error.errno)
  }

  /// Why a call to an open target failed.
  init(nfs error: NFSError, doing what: String, url: String, writing: Bool) {
    let text = "could not \(what) in \(url): \(error)"
    switch (error.kind, error.errno) {
    case (.disconnected, _), (.timedOut, _): self.init(.network, text, systemError: error.errno)
    // libnfs turns "disk quota exceeded" into ERANGE.
    case (.refused, ENOSPC), (.refused, EDQUOT), (.refused, ERANGE), (.refused, EFBIG):
      self.init(.noSpace, text, hint: "make room there, then try again", systemError: error.errno)
    case (.refused, EACCES), (.refused, EPERM), (.refused, EROFS):
      self.init(
        writing ? .notPermitted : .targetUnreachable, text,
        hint: "let the server allow this host and user to \(writing ? "write" : "read") there", systemError: error.errno
      )
    case (.refused, _) where error.isStale:
      self.init(.targetUnreachable, text, hint: "see whether the export is still there", systemError: error.errno)
    default: self.init(.io, text, systemError: error.errno)
    }
  }
}
