public import CDroverPlugin
import StageKit

private let plugin = Plugin(name: "download", version: "1.0", stages: [Download.self])

@c @implementation
public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
