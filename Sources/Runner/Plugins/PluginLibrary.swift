import DroverModel
import LinuxSystem

/// Finds stages by name.
protocol StageLibrary {
  /// - Throws: Fault `unknown-stage`, or why the plugin that should have it was refused.
  mutating func stage(named name: String) throws -> LoadedStage
}

/// The plugins in a list of folders, loaded as they are needed. What was refused is never tried again.
struct PluginLibrary: StageLibrary {
  private let folders: [String]
  private let activity: Activity
  private var tried: [String: Result<PluginImage, Fault>] = [:]

  init(folders: [String], activity: Activity = Activity()) {
    self.folders = folders
    self.activity = activity
  }

  /// First `libdrover-stage-NAME.so` in each folder, then every other plugin of them, in the order of their names.
  mutating func stage(named name: String) throws -> LoadedStage {
    // It becomes part of a path.
    guard !name.contains("/"), !name.isEmpty else { throw Fault(.unknownStage, "`\(name)` is no name of a stage") }
    var refusals: [Fault] = []
    for folder in folders {
      let path = "\(folder)/libdrover-stage-\(name).so"
      guard try FileStatus.of(path, followLinks: false) != nil else { continue }
      if let stage = try load(path).get().stage(named: name) { return stage }
    }
    for folder in folders {
      for file in (try Folder.listIfPresent(folder) ?? []).sorted() where file.hasSuffix(".so") {
        switch load("\(folder)/\(file)") {
        case .success(let image): if let stage = image.stage(named: name) { return stage }
        case .failure(let fault): refusals.append(fault)
        }
      }
    }
    let searched = folders.isEmpty ? "no folder of plugins is set" : "searched: \(folders.joined(separator: ", "))"
    let refused = refusals.isEmpty ? "" : "; refused: " + refusals.map(\.message).joined(separator: "; ")
    throw Fault(.unknownStage, "no plugin has a stage called `\(name)` (\(searched)\(refused))")
  }

  private mutating func load(_ path: String) -> Result<PluginImage, Fault> {
    if let known = tried[path] { return known }
    let result = Result { () throws(Fault) in try PluginImage.load(path, activity) }
    tried[path] = result
    return result
  }
}

extension PluginImage {
  func stage(named name: String) -> LoadedStage? { stages.first { $0.name == name } }
}
