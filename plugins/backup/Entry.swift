public import CDroverPlugin
import StageKit

private let plugin = Plugin(
  name: "backup", version: "1.0",
  stages: [
    BackupStage.self, DeleteBackupTask.self, CheckDeletionTask.self, InspectBackupTask.self, ProbeTargetTask.self,
    SyncTargetTask.self, VerifyTargetTask.self, CollectTargetTask.self,
  ])

@c @implementation
public func drover_plugin_v1() -> UnsafePointer<drover_plugin>! { plugin.descriptor }
