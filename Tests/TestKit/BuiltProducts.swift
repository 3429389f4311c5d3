import Foundation

/// The programs and plugins of this build, which lie beside the test bundle.
public enum BuiltProducts {
  public static let folder: String = {
    let bundle = try! FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    return (bundle as NSString).deletingLastPathComponent
  }()

  /// Nil where this build does not have it: a build of a part of the project.
  public static func path(_ name: String) -> String? {
    let path = "\(folder)/\(name)"
    return FileManager.default.fileExists(atPath: path) ? path : nil
  }
}
