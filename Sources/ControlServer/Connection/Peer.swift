import DroverModel
import Engine
import NIOCore
import NIOPosix

/// Layout of the kernel's `struct ucred`, which SO_PEERCRED fills. Source: unix(7).
private struct KernelCredentials: Sendable {
  var pid: Int32 = 0
  var uid: UInt32 = 0
  var gid: UInt32 = 0
}

extension Caller {
  private static let peerCredentials = NIOBSDSocket.Option(rawValue: 17)

  /// The process at the other end of a unix socket, as the kernel noted it when it connected.
  static func of(_ channel: any Channel) async throws -> Caller {
    guard let socket = channel as? any SocketOptionProvider else { return Caller(uid: nil, gid: nil, pid: nil) }
    let peer: KernelCredentials = try await socket.unsafeGetSocketOption(level: .socket, name: peerCredentials).get()
    return Caller(uid: peer.uid, gid: peer.gid, pid: peer.pid)
  }
}
