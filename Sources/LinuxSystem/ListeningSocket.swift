import CLinux
import Glibc

/// A unix socket that clients connect to; owns its descriptor.
public final class ListeningSocket: Sendable {
  public let descriptor: Int32

  /// Takes over the descriptor.
  public init(adopting descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Binds to `path`, with these permission bits from its first moment on. A socket there that nobody listens to any more
  /// is replaced; one that answers, or something else, is EADDRINUSE.
  public static func bind(_ path: String, permissions: UInt32) throws(SystemError) -> ListeningSocket {
    guard var address = SocketAddress(path) else { throw SystemError("bind", path: path, errno: ENAMETOOLONG) }
    if let there = try FileStatus.of(path, followLinks: false) {
      guard there.isSocket, try !SocketFile.answers(path) else {
        throw SystemError("bind", path: path, errno: EADDRINUSE)
      }
      try Folder.remove(file: path)
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .last("socket") }
    let listener = ListeningSocket(adopting: descriptor)
    // The kernel makes the file with the bits that the socket has by now.
    guard fchmod(descriptor, permissions) == 0 else { throw .last("chmod", path: path) }
    let code = unsafe address.withPointer { pointer, length in unsafe Glibc.bind(descriptor, pointer, length) }
    guard code == 0 else { throw .last("bind", path: path) }
    guard listen(descriptor, 64) == 0 else { throw .last("listen", path: path) }
    return listener
  }

  /// The next client's socket, which is the caller's, blocking and closed on exec; nil: none came within so many seconds.
  public func accept(waiting seconds: Double) throws(SystemError) -> Int32? {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    let count = unsafe poll(&entry, 1, Int32(seconds * 1000))
    if count == 0 || (count < 0 && Glibc.errno == EINTR) { return nil }
    guard count > 0 else { throw .last("poll a listening socket") }
    let client = Glibc.accept(descriptor, nil, nil)
    if client >= 0 {
      _ = fcntl(client, F_SETFD, FD_CLOEXEC)
      return client
    }
    switch Glibc.errno {
    // The client has gone again, or there are no descriptors just now.
    case ECONNABORTED, EINTR, EAGAIN, EPROTO: return nil
    case EMFILE, ENFILE, ENOBUFS, ENOMEM:
      usleep(UInt32(seconds * 1e6))
      return nil
    default: throw .last("accept")
    }
  }
}
