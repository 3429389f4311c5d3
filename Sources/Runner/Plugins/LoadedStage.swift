import CDroverPlugin
import DroverModel
import FoundationEssentials

/// One stage of a loaded plugin: its descriptor, copied once and found good.
struct LoadedStage: @unchecked Sendable {
  // Sendable: the plugin's descriptor is static and never changes, and the copies are constants.

  /// Path of the plugin's file.
  let plugin: String
  let name: String
  let summary: String
  let roles: UInt32
  let isParallel: Bool
  let isNetwork: Bool
  /// Name -> {"required", "summary"}; nil takes any.
  let params: [String: JSONValue]?
  /// What its functions want as their first argument.
  let descriptor: UnsafePointer<drover_stage>
  let functions: drover_stage
  /// All NULL for a stage that is only a task.
  let device: drover_device_ops

  init(plugin: String, descriptor: UnsafePointer<drover_stage>) throws(Fault) {
    var check = DescriptorCheck(plugin: plugin)
    try check.size(
      "drover_stage", structSize(descriptor), atLeast: MemoryLayout.offset(of: \drover_stage.discard)! + 8)
    let stage = copyStruct(descriptor, zeroed: drover_stage())
    name = try check.name("drover_stage.name", stage.name)
    check.stage = name
    roles = stage.roles & (DROVER_ROLE_SOURCE | DROVER_ROLE_FILTER | DROVER_ROLE_SINK | DROVER_ROLE_TASK)
    guard roles != 0 else { throw check.refused("roles is \(stage.roles), none of which this Drover knows") }
    guard stage.threads == DROVER_THREADS_SERIAL || stage.threads == DROVER_THREADS_PARALLEL else {
      throw check.refused("threads is \(stage.threads), allowed are 0 (serial) and 1 (parallel)")
    }
    device = try Self.checkedDevice(stage, roles: roles, check)
    try check.callback("run", isThere: roles & DROVER_ROLE_TASK == 0 || stage.run != nil)
    params = try Self.checkedParams(stage.params, check)
    self.plugin = plugin
    summary = String(plugin: stage.summary, limit: 500) ?? ""
    isParallel = stage.threads == DROVER_THREADS_PARALLEL
    isNetwork = stage.flags & DROVER_STAGE_NETWORK != 0
    self.descriptor = descriptor
    functions = stage
  }

  private static func checkedDevice(
    _ stage: drover_stage, roles: UInt32, _ check: DescriptorCheck
  ) throws(Fault) -> drover_device_ops {
    guard roles & ~DROVER_ROLE_TASK != 0 else { return drover_device_ops() }
    try check.callback("open", isThere: stage.open != nil)
    guard let pointer = stage.device else { throw check.refused("device is NULL, but required for its roles") }
    try check.size(
      "drover_device_ops", structSize(pointer), atLeast: MemoryLayout.offset(of: \drover_device_ops.close)! + 8)
    let device = copyStruct(pointer, zeroed: drover_device_ops())
    try check.callback("device.info", isThere: device.info != nil)
    try check.callback("device.close", isThere: device.close != nil)
    try check.callback("device.pread", isThere: roles & DROVER_ROLE_SOURCE == 0 || device.pread != nil)
    let writes = roles & DROVER_ROLE_SINK != 0
    try check.callback("device.pwrite", isThere: !writes || device.pwrite != nil)
    try check.callback("device.zero", isThere: device.pwrite == nil || device.zero != nil)
    try check.callback("device.flush", isThere: !writes || device.flush != nil)
    try check.callback("device.commit", isThere: !writes || device.commit != nil)
    return device
  }

  private static func checkedParams(
    _ pointer: UnsafePointer<CChar>?, _ check: DescriptorCheck
  ) throws(Fault) -> [String: JSONValue]? {
    guard let text = String(plugin: pointer, limit: 1 << 20) else { return nil }
    guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)), case .object(let all) = value,
      all.values.allSatisfy({ $0.object != nil })
    else { throw check.refused("params is no JSON object of objects") }
    return all
  }

  func has(_ role: Pipeline.Role) -> Bool { roles & role.abi != 0 }

  /// Refuses, by name, parameters that the stage does not declare and misses the ones that it needs. Null is absent.
  func check(params given: [String: JSONValue]) throws(Fault) {
    guard let params else { return }
    let present = given.filter { !$0.value.isNull }.keys
    let unknown = present.filter { params[$0] == nil }.sorted()
    guard unknown.isEmpty else {
      let known = params.keys.sorted().joined(separator: ", ")
      throw Fault(
        .invalid, "stage \(name) has no parameter \(unknown.map { "`\($0)`" }.joined(separator: ", "))",
        hint: params.isEmpty ? "it takes none" : "it takes \(known)")
    }
    let missing = params.filter { $0.value["required"]?.bool == true && !present.contains($0.key) }.keys.sorted()
    guard missing.isEmpty else {
      throw Fault(
        .invalid, "stage \(name) needs the parameter \(missing.map { "`\($0)`" }.joined(separator: ", "))")
    }
  }
}

extension Pipeline.Role {
  /// DROVER_ROLE_*
  var abi: UInt32 {
    switch self {
    case .source: DROVER_ROLE_SOURCE
    case .filter: DROVER_ROLE_FILTER
    case .sink: DROVER_ROLE_SINK
    case .task: DROVER_ROLE_TASK
    }
  }
}
