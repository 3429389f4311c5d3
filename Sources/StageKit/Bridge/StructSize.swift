import Glibc

/// The ABI's rule for structs that grow: each begins with `struct_size`, reader and writer take the smaller of that
/// and their own `MemoryLayout.size`, and what is missing counts as zero.

/// A copy of a struct from the other side. `Value` must be an imported C struct whose first field is `struct_size`.
func load<Value: BitwiseCopyable>(_ pointer: UnsafePointer<Value>) -> Value {
  withUnsafeTemporaryAllocation(of: Value.self, capacity: 1) { own in
    let raw = UnsafeMutableRawPointer(own.baseAddress!)
    memset(raw, 0, MemoryLayout<Value>.size)
    let theirs = UnsafeRawPointer(pointer).loadUnaligned(as: Int.self)
    memcpy(raw, pointer, min(max(theirs, 0), MemoryLayout<Value>.size))
    return own.baseAddress!.move()
  }
}

/// Fills a struct that the other side owns, whose `struct_size` says how much of it there is.
func store<Value: BitwiseCopyable>(_ value: Value, to pointer: UnsafeMutablePointer<Value>) {
  let raw = UnsafeMutableRawPointer(pointer)
  let theirs = raw.loadUnaligned(as: Int.self)
  let count = min(max(theirs, 0), MemoryLayout<Value>.size)
  guard count >= MemoryLayout<Int>.size else { return }
  withUnsafeBytes(of: value) { _ = memcpy(raw, $0.baseAddress!, count) }
  raw.storeBytes(of: count, as: Int.self)
}

/// Memory for a descriptor, never freed.
func leak<Value: BitwiseCopyable>(_ value: Value) -> UnsafePointer<Value> {
  let pointer = UnsafeMutablePointer<Value>.allocate(capacity: 1)
  pointer.initialize(to: value)
  return UnsafePointer(pointer)
}

/// A C string for a descriptor, never freed.
func leak(_ string: String) -> UnsafePointer<CChar> {
  UnsafePointer(strdup(string)!)
}
