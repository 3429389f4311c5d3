import CDroverPlugin
import FoundationEssentials

/// The C table of one Swift stage. The stage's type is found through `stage->context`.
enum StageTable {
  static func make(_ stage: any Stage.Type) -> UnsafePointer<drover_stage> {
    let devices = !stage.roles.isDisjoint(with: [.source, .filter, .sink])
    let tasks = stage.roles.contains(.task)
    return leak(
      drover_stage(
        struct_size: MemoryLayout<drover_stage>.size, name: leak(stage.name), summary: leak(stage.summary),
        roles: stage.roles.rawValue, threads: stage.parallel ? DROVER_THREADS_PARALLEL : DROVER_THREADS_SERIAL,
        flags: stage.network ? DROVER_STAGE_NETWORK : 0, reserved: 0, params: stage.params.map { leak(json($0)) },
        plan: plan, open: devices ? open : nil, device: devices ? leak(DeviceTable.make()) : nil,
        run: tasks ? run : nil, discard: discard,
        context: Unmanaged.passRetained(StageBox(stage)).toOpaque()))
  }

  private static func json(_ params: [String: Parameter]) -> String {
    struct Entry: Encodable {
      var required: Bool
      var summary: String
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    let entries = params.mapValues { Entry(required: $0.required, summary: $0.summary) }
    return String(decoding: (try? encoder.encode(entries)) ?? Data("{}".utf8), as: UTF8.self)
  }

  private static let plan:
    @convention(c) (
      UnsafePointer<drover_stage>?, UnsafePointer<drover_host>?, UnsafePointer<drover_open>?,
      UnsafePointer<drover_plan>?, UnsafeMutablePointer<drover_plan>?, UnsafeMutablePointer<drover_error>?
    ) -> Int32 = { stage, host, open, below, plan, error in
      StageBox.call(stage, host, open, error) { type, request, host in
        let answer = try type.plan(request, below: below.map { Plan(load($0)) }, host: host) ?? Plan()
        if let plan { store(try answer.cStruct(), to: plan) }
      }
    }

  private static let open:
    @convention(c) (
      UnsafePointer<drover_stage>?, UnsafePointer<drover_host>?, UnsafePointer<drover_open>?,
      UnsafeMutablePointer<UnsafeMutableRawPointer?>?, UnsafeMutablePointer<drover_error>?
    ) -> Int32 = { stage, host, open, handle, error in
      StageBox.call(stage, host, open, error) { type, request, host in
        let device = try type.open(request, host: host)
        handle?.pointee = Unmanaged.passRetained(DeviceBox(device, domain: type.name)).toOpaque()
      }
    }

  private static let run:
    @convention(c) (
      UnsafePointer<drover_stage>?, UnsafePointer<drover_host>?, UnsafePointer<drover_open>?,
      UnsafeMutablePointer<drover_error>?
    ) -> Int32 = { stage, host, open, error in
      StageBox.call(stage, host, open, error) { type, request, host in try type.run(request, host: host) }
    }

  private static let discard:
    @convention(c) (
      UnsafePointer<drover_stage>?, UnsafePointer<drover_host>?, UnsafePointer<drover_open>?,
      UnsafeMutablePointer<drover_error>?
    ) -> Int32 = { stage, host, open, error in
      StageBox.call(stage, host, open, error) { type, request, host in try type.discard(request, host: host) }
    }
}

/// What `stage->context` points to.
private final class StageBox {
  let type: any Stage.Type
  init(_ type: any Stage.Type) { self.type = type }

  static func call(
    _ stage: UnsafePointer<drover_stage>?, _ host: UnsafePointer<drover_host>?, _ open: UnsafePointer<drover_open>?,
    _ error: UnsafeMutablePointer<drover_error>?, _ body: (any Stage.Type, OpenRequest, any Host) throws -> Void
  ) -> Int32 {
    guard let context = stage.flatMap({ load($0).context }) else {
      StageError("internal", "the host called without the stage's descriptor").fill(error, domain: "stagekit")
      return -1
    }
    let type = Unmanaged<StageBox>.fromOpaque(context).takeUnretainedValue().type
    return answering(error, domain: type.name) {
      guard let host, let open else { throw StageError("internal", "the host called without its table or the request") }
      try body(type, OpenRequest(load(open)), ForeignHost(load(host)))
    }
  }
}

/// Runs `body`; what it throws goes into `error`, and the answer is -1.
func answering(
  _ error: UnsafeMutablePointer<drover_error>?, domain: @autoclosure () -> String, _ body: () throws -> Void
) -> Int32 {
  do {
    try body()
    return 0
  } catch let thrown {
    StageError(thrown).fill(error, domain: domain())
    return -1
  }
}
