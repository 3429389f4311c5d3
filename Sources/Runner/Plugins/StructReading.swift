/// A struct of the ABI as the other side wrote it: copied by the smaller of both sizes into zeroed memory.
///
/// `pointer` leads to a `struct_size` first; fields that its writer did not know read as zero.
func copyStruct<Struct>(_ pointer: UnsafePointer<Struct>, zeroed: Struct) -> Struct {
  var copy = zeroed
  let written = UnsafeRawPointer(pointer).load(as: Int.self)
  withUnsafeMutableBytes(of: &copy) { target in
    let size = max(0, min(written, target.count))
    target.baseAddress!.copyMemory(from: pointer, byteCount: size)
  }
  return copy
}

/// `struct_size` itself.
func structSize<Struct>(_ pointer: UnsafePointer<Struct>) -> Int { UnsafeRawPointer(pointer).load(as: Int.self) }
