import CDroverPlugin

extension Plan {
  init(_ plan: drover_plan) {
    func string(_ field: UnsafeRawBufferPointer) -> String? {
      let string = text(in: field)
      return string.isEmpty ? nil : string
    }
    self.init(
      size: plan.size == .max ? nil : plan.size, dataSize: plan.data_size == .max ? nil : plan.data_size,
      space: plan.space, spacePath: withUnsafeBytes(of: plan.space_path, string),
      lock: withUnsafeBytes(of: plan.lock, string), filePath: withUnsafeBytes(of: plan.file_path, string))
  }

  func cStruct() throws -> drover_plan {
    var plan = drover_plan()
    plan.struct_size = MemoryLayout<drover_plan>.size
    plan.size = size ?? .max
    plan.data_size = dataSize ?? size ?? .max
    plan.space = space
    // A path that was cut would name another place.
    for path in [spacePath, filePath] where (path?.utf8.count ?? 0) >= MemoryLayout.size(ofValue: plan.file_path) {
      throw StageError("invalid", "the path is longer than 1023 bytes: \(path ?? "")")
    }
    withUnsafeMutableBytes(of: &plan.space_path) { put(spacePath ?? "", into: $0) }
    withUnsafeMutableBytes(of: &plan.lock) { put(lock ?? "", into: $0) }
    withUnsafeMutableBytes(of: &plan.file_path) { put(filePath ?? "", into: $0) }
    return plan
  }
}
