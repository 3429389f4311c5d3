import Foundation
import Glibc

/// Programs that tests need and a machine may not have.
public enum TestTool {
  /// Where `./dev test` puts what Debian does not have.
  public static let folder: String = {
    let environment = ProcessInfo.processInfo.environment
    if let folder = environment["DROVER_TEST_TOOLS"] { return folder }
    let cache = environment["XDG_CACHE_HOME"] ?? "\(environment["HOME"] ?? "/root")/.cache"
    return "\(cache)/drover-test-tools"
  }()

  public static func path(_ name: String) -> String? {
    let folders =
      ["\(folder)/bin"]
      + (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map(String.init) + [
        "/usr/sbin", "/sbin",
      ]
    return folders.map { "\($0)/\(name)" }.first { access($0, X_OK) == 0 }
  }
}
