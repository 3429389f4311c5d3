import CDroverPlugin
import LinuxSystem

extension StageError {
  /// What was thrown, as far as this side knows it.
  init(_ error: any Error) {
    switch error {
    case let error as StageError: self = error
    case is CancellationError: self = .cancelled
    case let error as any StageErrorConvertible: self = error.stageError
    case let error as SystemError: self = StageError(system: error)
    default: self.init("internal", "\(error)")
    }
  }

  /// Fills the host's struct as far as it reaches. `domain` is used where the error names none itself.
  func fill(_ error: UnsafeMutablePointer<drover_error>?, domain: String) {
    guard let error else { return }
    let all = UnsafeMutableRawBufferPointer(
      start: error, count: min(max(0, UnsafeRawPointer(error).load(as: Int.self)), MemoryLayout<drover_error>.size))
    func field<Value>(_ path: KeyPath<drover_error, Value>) -> UnsafeMutableRawBufferPointer? {
      let start = MemoryLayout<drover_error>.offset(of: path)!
      let end = start + MemoryLayout<Value>.size
      return end <= all.count ? UnsafeMutableRawBufferPointer(rebasing: all[start..<end]) : nil
    }
    field(\.retry)?.storeBytes(of: retry.rawValue, as: UInt32.self)
    field(\.system_error)?.storeBytes(of: systemError, as: Int32.self)
    if let field = field(\.domain) { put(self.domain ?? domain, into: field) }
    if let field = field(\.code) { put(code, into: field) }
    if let field = field(\.message) { put(message, into: field) }
    if let field = field(\.hint) { put(hint, into: field) }
  }

  /// What a C function of the other side answered.
  init(_ error: drover_error) {
    self = withUnsafeBytes(of: error) { bytes in
      func string<Value>(_ path: KeyPath<drover_error, Value>) -> String {
        let start = MemoryLayout<drover_error>.offset(of: path)!
        return text(in: UnsafeRawBufferPointer(rebasing: bytes[start..<(start + MemoryLayout<Value>.size)]))
      }
      let code = string(\.code)
      var result = StageError(
        code.isEmpty ? "internal" : code, string(\.message), hint: string(\.hint),
        retry: Retry(rawValue: error.retry) ?? .never, systemError: error.system_error)
      let domain = string(\.domain)
      result.domain = domain.isEmpty ? nil : domain
      return result
    }
  }
}

/// Calls a C function of the other side with an error to fill; throws it unless the answer is 0 or more.
func calling<Answer: BinaryInteger>(_ function: (UnsafeMutablePointer<drover_error>) -> Answer) throws -> Answer {
  try withUnsafeTemporaryAllocation(of: drover_error.self, capacity: 1) { buffer in
    let error = buffer.baseAddress!
    error.initialize(to: drover_error())
    error.pointee.struct_size = MemoryLayout<drover_error>.size
    let answer = function(error)
    guard answer >= 0 else { throw StageError(error.pointee) }
    return answer
  }
}
