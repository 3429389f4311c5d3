extension ObjectStore {
  /// A whole object that is expected to be at most `limit` bytes; nil: certainly not there. Longer ones throw `bad-config`.
  func document(_ path: String, limit: Int) throws(StoreError) -> [UInt8]? {
    // It may be replaced by a longer one between the two calls: a stub by a long config.
    for _ in 1...10 {
      guard let status = try status(of: path, deadline: .usual) else { return nil }
      guard status.size <= UInt64(limit) else {
        throw .badConfig("\(url)/\(path)", "it has \(status.size) bytes, but at most \(limit) are read")
      }
      switch try beginning(of: path, capacity: Int(status.size) + 4096) {
      case .whole(let bytes): return bytes
      case .absent: return nil
      case .longer: continue
      }
    }
    throw StoreError(.io, "\(url)/\(path) changes faster than it can be read")
  }

  private func beginning(of path: String, capacity: Int) throws(StoreError) -> Beginning {
    var outcome: Result<Beginning, StoreError> = .success(.longer)
    let bytes = [UInt8](unsafeUninitializedCapacity: capacity) { buffer, count in
      let buffer = UnsafeMutableRawBufferPointer(start: buffer.baseAddress, count: capacity)
      do throws(StoreError) {
        guard let length = try read(path, into: buffer, deadline: .usual) else {
          outcome = .success(.absent)
          return
        }
        count = length
        outcome = .success(length < capacity ? .whole([]) : .longer)
      } catch {
        outcome = error.code == .badBlock ? .success(.longer) : .failure(error)
      }
    }
    if case .whole = try outcome.get() { return .whole(bytes) }
    return try outcome.get()
  }

  func write(_ path: String, document: [UInt8], deadline: Deadline = .usual) throws(StoreError) {
    let result = document.withUnsafeBytes { bytes in
      Result { () throws(StoreError) in try write(path, bytes, deadline: deadline) }
    }
    try result.get()
  }
}

private enum Beginning {
  case whole([UInt8])
  case absent
  /// Longer than what its status said.
  case longer
}
