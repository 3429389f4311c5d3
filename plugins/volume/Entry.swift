public import CDroverPlugin
import StageKit

private let plugin = Plugin(name: "volume", version: "1.0", stages: [VolumeStage.self, VolumeTask.self])

@c @implementation
public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
