public import CDroverPlugin
import StageKit

private let plugin = Plugin(name: "upload", version: "1.0", stages: [UploadStage.self, SaveStage.self])

@c @implementation
public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
