import CDroverPlugin
import DroverModel
import Glibc
import LinuxSystem

/// A plugin that was loaded and whose descriptor was accepted. It stays loaded until the process ends.
struct PluginImage: Sendable {
  let path: String
  let name: String
  let version: String
  let abi: String
  let stages: [LoadedStage]

  /// Loads a file, unless who owns it or what it says forbids that.
  /// - Throws: Fault `plugin-refused`, or `not-found` where there is no such file. The message begins with the path.
  static func load(_ path: String, _ activity: Activity = Activity()) throws(Fault) -> PluginImage {
    let trusted = try TrustedPath.resolve(plugin: path)
    let opened = activity.during("", "dlopen", plugin: path) { dlopen(trusted, RTLD_NOW | RTLD_LOCAL) }
    guard let handle = opened else {
      throw Fault(.pluginRefused, "plugin \(path): can't be loaded: \(String(plugin: dlerror(), limit: 1000) ?? "")")
    }
    guard let symbol = dlsym(handle, DROVER_PLUGIN_ENTRY_NAME) else {
      throw Fault(
        .pluginRefused,
        "plugin \(path): symbol \(DROVER_PLUGIN_ENTRY_NAME) is missing, so it is no Drover plugin of "
          + "ABI version \(DROVER_PLUGIN_ABI_MAJOR)")
    }
    typealias Entry = @convention(c) () -> UnsafePointer<drover_plugin>?
    return try activity.during("", DROVER_PLUGIN_ENTRY_NAME, plugin: path) { () throws(Fault) in
      try PluginImage(path: path, descriptor: unsafeBitCast(symbol, to: Entry.self)())
    }
  }

  /// Accepts a descriptor, or says what is wrong with it.
  init(path: String, descriptor: UnsafePointer<drover_plugin>?) throws(Fault) {
    let check = DescriptorCheck(plugin: path)
    guard let descriptor else { throw check.refused("\(DROVER_PLUGIN_ENTRY_NAME) returned NULL") }
    try check.size(
      "drover_plugin", structSize(descriptor), atLeast: MemoryLayout.offset(of: \drover_plugin.stages)! + 8)
    let plugin = copyStruct(descriptor, zeroed: drover_plugin())
    guard plugin.abi_major == DROVER_PLUGIN_ABI_MAJOR else {
      throw check.refused("abi_major is \(plugin.abi_major), this Drover has \(DROVER_PLUGIN_ABI_MAJOR)")
    }
    guard plugin.required_minor <= DROVER_PLUGIN_ABI_MINOR else {
      throw check.refused(
        "required_minor is \(plugin.required_minor), this Drover has minor version \(DROVER_PLUGIN_ABI_MINOR)")
    }
    name = try check.name("drover_plugin.name", plugin.name)
    guard let version = String(plugin: plugin.version, limit: 100) else { throw check.refused("version is NULL") }
    guard (1...64).contains(plugin.stage_count) else {
      throw check.refused("stage_count is \(plugin.stage_count), allowed are 1 to 64")
    }
    guard let pointers = plugin.stages else { throw check.refused("stages is NULL") }
    var stages: [LoadedStage] = []
    for index in 0..<Int(plugin.stage_count) {
      guard let pointer = pointers[index] else { throw check.refused("stages[\(index)] is NULL") }
      let stage = try LoadedStage(plugin: path, descriptor: pointer)
      guard !stages.contains(where: { $0.name == stage.name }) else {
        throw check.refused("stages[\(index)].name is `\(stage.name)`, like that of another of its stages")
      }
      stages.append(stage)
    }
    self.path = path
    self.version = version
    abi = "\(plugin.abi_major).\(plugin.abi_minor)"
    self.stages = stages
  }
}
