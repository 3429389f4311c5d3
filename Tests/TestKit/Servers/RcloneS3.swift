import Glibc
import LinuxSystem

/// `rclone serve s3`: checks signatures; an object is a plain file below `root`, a bucket a folder in it.
public final class RcloneS3: Sendable {
  public static let accessKey = "DROVERTESTKEY"
  public static let secretKey = "a/secret+that=needs%care"
  public static let shared: RcloneS3? = try? RcloneS3()
  public static var isMissing: String? { shared == nil ? "rclone can't be started here" : nil }

  public let port: UInt16
  public let root: TemporaryFolder
  private let server: ServerProcess

  /// - Parameter buckets: Made before it starts.
  public init(
    port: UInt16 = ServerProcess.freePort(), root: TemporaryFolder = TemporaryFolder("rclone-s3"),
    buckets: [String] = []
  ) throws {
    guard let rclone = TestTool.path("rclone") else { throw SystemError("find rclone", errno: ENOENT) }
    for bucket in buckets { try Folder.create(root(bucket), permissions: 0o755) }
    self.port = port
    self.root = root
    server = try ServerProcess(
      [
        rclone, "serve", "s3", "--config", "/dev/null", "--addr", "127.0.0.1:\(port)", "--vfs-cache-mode", "off",
        "--auth-key", "\(Self.accessKey),\(Self.secretKey)", root.path,
      ], port: port, log: "\(root.path).log")
    unlink("\(root.path).log")
  }

  public func stop() { server.stop() }

  public var endpoint: String { "http://127.0.0.1:\(port)" }
}
