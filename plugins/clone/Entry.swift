public import CDroverPlugin
import StageKit

private let plugin = Plugin(name: "clone", version: "1.0", stages: [CloneStage.self])

@c @implementation
public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
