public import CDroverPlugin

/// A plugin's descriptor, built once from Swift stages and never freed.
///
/// A plugin is a dynamic library with one or more `Stage` types and this file:
///
/// ```swift
/// public import CDroverPlugin
/// import StageKit
///
/// private let plugin = Plugin(name: "clone", version: "1.0", stages: [Clone.self])
///
/// @c @implementation
/// public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
/// ```
///
/// The host may call the entry from any thread, and more than once.
public struct Plugin: @unchecked Sendable {
  // Sendable: what it points to is written before init returns and never again.
  /// For `drover_plugin_v1` to return. Valid until the process ends.
  public let descriptor: UnsafePointer<drover_plugin>

  /// `name` has a stage's form. `requiredMinor` is the least minor version of the ABI in a host that it works in.
  public init(name: String, version: String, requiredMinor: UInt32 = 0, stages: [any Stage.Type]) {
    let pointers = UnsafeMutablePointer<UnsafePointer<drover_stage>?>.allocate(capacity: max(stages.count, 1))
    for (index, stage) in stages.enumerated() {
      (pointers + index).initialize(to: StageTable.make(stage))
    }
    descriptor = leak(
      drover_plugin(
        struct_size: MemoryLayout<drover_plugin>.size, abi_major: DROVER_PLUGIN_ABI_MAJOR,
        abi_minor: DROVER_PLUGIN_ABI_MINOR, required_minor: requiredMinor, stage_count: UInt32(stages.count),
        name: leak(name), version: leak(version), stages: UnsafePointer(pointers)))
  }
}
