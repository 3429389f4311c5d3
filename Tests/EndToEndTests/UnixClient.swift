import Glibc
import LinuxSystem

/// A bare connection to the control socket, for what no well-behaved client would send.
enum UnixClient {
  static func connect(_ path: String) throws -> OpenFile {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    guard descriptor >= 0 else { throw SystemError("socket", errno: errno) }
    let connection = OpenFile(adopting: descriptor, path: path)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8) }
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    guard code == 0 else { throw SystemError("connect", path: path, errno: errno) }
    return connection
  }

  static func send(_ bytes: [UInt8], to connection: OpenFile) throws {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes {
        Glibc.send(connection.descriptor, $0.baseAddress! + done, bytes.count - done, Int32(MSG_NOSIGNAL))
      }
      guard count > 0 else { throw SystemError("send", path: connection.path, errno: errno) }
      done += count
    }
  }
}
