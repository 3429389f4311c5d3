public import CDroverPlugin
import StageKit

private let plugin = Plugin(name: "file", version: "1.0", stages: [FileStage.self])

@c @implementation
public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
