public import CDroverPlugin
import StageKit

private let plugin = Plugin(name: "crypto", version: "1.0", stages: [CryptoStage.self, RekeyStage.self])

@c @implementation
public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
