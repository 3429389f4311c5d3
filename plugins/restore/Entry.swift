public import CDroverPlugin
import StageKit

private let plugin = Plugin(name: "restore", version: "1.0", stages: [RestoreStage.self])

@c @implementation
public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
