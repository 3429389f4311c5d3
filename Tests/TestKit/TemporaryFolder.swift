import Foundation
import LinuxSystem

/// A folder of the test's own, removed with what is in it when the last reference goes. Kept, and its path printed, when
/// `DROVER_KEEP` is set.
public final class TemporaryFolder: Sendable {
  public let path: String

  public init(_ name: String = "test") {
    let unique = UUID().uuidString.prefix(8).lowercased()
    let root = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    path = "\(root)/drover-\(name)-\(unique)"
    try! Folder.create(path, permissions: 0o700)
  }

  deinit {
    if ProcessInfo.processInfo.environment["DROVER_KEEP"] != nil {
      print("kept: \(path)")
    } else {
      try? Folder.removeTree(path)
    }
  }

  public func callAsFunction(_ name: String) -> String { "\(path)/\(name)" }
}
