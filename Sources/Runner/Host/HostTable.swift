import CDroverPlugin
import ChildProtocol
import DroverModel
import FoundationEssentials
import Synchronization

/// The `drover_host` that one stage gets, and who it is. Lives as long as the process, as the header promises: `make`
/// leaks it on purpose.
final class HostTable: Sendable {
  private let stage: String
  private let plugin: String
  private let job: JobContext

  private init(stage: LoadedStage, job: JobContext) {
    self.stage = stage.name
    plugin = stage.plugin
    self.job = job
  }

  static func make(stage: LoadedStage, job: JobContext) -> UnsafePointer<drover_host> {
    let context = Unmanaged.passRetained(HostTable(stage: stage, job: job)).toOpaque()
    let table = UnsafeMutablePointer<drover_host>.allocate(capacity: 1)
    table.initialize(
      to: drover_host(
        struct_size: MemoryLayout<drover_host>.size, abi_major: DROVER_PLUGIN_ABI_MAJOR,
        abi_minor: DROVER_PLUGIN_ABI_MINOR, context: context,
        log: { context, level, message in HostTable.of(context)?.log(level, message) },
        cancelled: { context in HostTable.of(context)?.job.interruption.tellsStagesToStop == true ? 1 : 0 },
        emit: { context, kind, json in HostTable.of(context)?.emit(kind, json) },
        phase: { context, phase, detail in HostTable.of(context)?.phase(phase, detail) },
        progress: { context, done, total in HostTable.of(context)?.progress(done, total) }))
    return UnsafePointer(table)
  }

  private static func of(_ context: UnsafeMutableRawPointer?) -> HostTable? {
    context.map { Unmanaged<HostTable>.fromOpaque($0).takeUnretainedValue() }
  }

  private func log(_ level: UInt32, _ message: UnsafePointer<CChar>?) {
    let levels: [LogLevel] = [.debug, .info, .warning, .error]
    let text = String(plugin: message, limit: 16384) ?? ""
    job.log(level < 4 ? levels[Int(level)] : .info, "\(stage): \(text)")
  }

  private func emit(_ kind: UnsafePointer<CChar>?, _ json: UnsafePointer<CChar>?) {
    job.activity.sign(stage)
    let kind = String(plugin: kind, limit: 64) ?? ""
    // A frame of the channel holds 16 MiB; half of it leaves room for the message round the record.
    guard let text = String(plugin: json, limit: 8 << 20),
      let value = try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)), value.object != nil
    else {
      job.refuseRecord(
        Fault(
          .pluginMisbehaved,
          "plugin \(plugin), stage \(stage) emitted a record of kind `\(kind)` that is not one JSON object",
          hint: "this is a fault of the plugin; tell its author"))
      return
    }
    job.record(stage: stage, kind: kind, value: value)
  }

  private func phase(_ phase: UnsafePointer<CChar>?, _ detail: UnsafePointer<CChar>?) {
    job.activity.sign(stage)
    job.phase.say(String(plugin: phase, limit: 100) ?? "", detail: String(plugin: detail, limit: 200))
  }

  private func progress(_ done: UInt64, _ total: UInt64) {
    job.activity.sign(stage)
    job.taskProgress.withLock { $0 = (min(done, UInt64(Int64.max)), min(total, UInt64(Int64.max))) }
  }
}
