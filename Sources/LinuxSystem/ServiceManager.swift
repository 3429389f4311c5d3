import Glibc

/// The service manager that started this process, by the protocol of sd_notify(3).
public struct ServiceManager: Sendable {
  private let socketName: String

  /// Nil where nobody asked to be told: `NOTIFY_SOCKET` is not set. An abstract name begins with `@`.
  public init?(socketName: String?) {
    guard let socketName, !socketName.isEmpty else { return nil }
    self.socketName = socketName
  }

  /// Sends one datagram, such as `READY=1`. Does not wait for the receiver.
  public func notify(_ state: String) throws(SystemError) {
    guard var address = SocketAddress(socketName) else {
      throw SystemError("notify", path: socketName, errno: EINVAL)
    }
    let descriptor = socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard descriptor >= 0 else { throw .last("socket") }
    defer { close(descriptor) }
    let bytes = Array(state.utf8)
    let sent = unsafe address.withPointer { pointer, length in
      retrying { unsafe sendto(descriptor, bytes, bytes.count, Int32(MSG_NOSIGNAL | MSG_DONTWAIT), pointer, length) }
    }
    guard sent == bytes.count else { throw .last("notify", path: socketName) }
  }
}
