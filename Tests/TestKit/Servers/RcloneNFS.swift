import Glibc
import LinuxSystem

/// `rclone serve nfs`: version 3 without a port mapper; it serves one folder under every path.
public final class RcloneNFS: Sendable {
  public static var isMissing: String? { TestTool.path("rclone") == nil ? "rclone is not here" : nil }

  public let port: UInt16
  public let root: TemporaryFolder
  private let server: ServerProcess
  private let cache = TemporaryFolder("rclone-cache")

  public init(port: UInt16 = ServerProcess.freePort(), root: TemporaryFolder = TemporaryFolder("rclone-nfs")) throws {
    guard let rclone = TestTool.path("rclone") else { throw SystemError("find rclone", errno: ENOENT) }
    self.port = port
    self.root = root
    server = try ServerProcess(
      [
        rclone, "serve", "nfs", "--config", "/dev/null", "--addr", "127.0.0.1:\(port)", "--vfs-cache-mode", "full",
        "--vfs-write-back", "0s", "--cache-dir", cache.path, "--dir-cache-time", "1s", root.path,
      ], port: port, log: cache("log"))
  }

  public func stop() { server.stop() }

  public var url: String { "nfs://127.0.0.1:/?nfsOptions=nfsvers=3,port=\(port),mountport=\(port)" }
}
