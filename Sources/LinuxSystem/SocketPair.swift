import CLinux
import Glibc

/// Two connected stream sockets, closed on exec. The caller owns both descriptors.
public enum SocketPair {
  public static func make() throws(SystemError) -> (Int32, Int32) {
    var ends: [Int32] = [-1, -1]
    guard unsafe socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0, &ends) == 0 else {
      throw .last("socketpair")
    }
    return (ends[0], ends[1])
  }
}

/// A pipe, closed on exec. The caller owns both descriptors.
public enum Pipe {
  public static func make() throws(SystemError) -> (read: Int32, write: Int32) {
    var ends: [Int32] = [-1, -1]
    guard unsafe clinux_pipe(&ends) == 0 else { throw .last("pipe") }
    return (ends[0], ends[1])
  }
}

/// Who is at the other end of a unix socket, as the kernel noted it when it was connected.
public struct PeerCredentials: Sendable, Hashable {
  public var pid: Int32
  public var uid: UInt32
  public var gid: UInt32

  public static func of(socket: Int32) throws(SystemError) -> PeerCredentials {
    var peer = PeerCredentials(pid: 0, uid: 0, gid: 0)
    guard unsafe clinux_peer_credentials(socket, &peer.pid, &peer.uid, &peer.gid) == 0 else {
      throw .last("ask for the peer of a socket")
    }
    return peer
  }
}

/// The second line, behind the end of file on the channel: the kernel kills this process when the *thread* that
/// started it ends.
public enum ParentDeath {
  public static func killWithParent() throws(SystemError) {
    guard clinux_signal_on_parent_death(SIGKILL) == 0 else { throw .last("prctl(PR_SET_PDEATHSIG)") }
  }
}
