import CDroverPlugin
import DroverModel
import Glibc

/// Calls a function of a plugin with an error to fill.
///
/// - Returns: What it answered, never negative.
/// - Throws: What the plugin said went wrong, as a Fault.
func callPlugin(
  stage: String, call: String, _ function: (UnsafeMutablePointer<drover_error>) -> Int64
) throws(Fault) -> Int64 {
  let error = UnsafeMutablePointer<drover_error>.allocate(capacity: 1)
  defer { error.deallocate() }
  error.initialize(to: drover_error())
  error.pointee.struct_size = MemoryLayout<drover_error>.size
  let answer = function(error)
  guard answer < 0 else { return answer }
  throw Fault(error.pointee, stage: stage, call: call)
}

extension Fault {
  init(_ error: drover_error, stage: String, call: String) {
    let code = withUnsafeBytes(of: error.code) { String(field: $0) }
    var message = withUnsafeBytes(of: error.message) { String(field: $0) }
    let hint = withUnsafeBytes(of: error.hint) { String(field: $0) }
    let domain = withUnsafeBytes(of: error.domain) { String(field: $0) }
    if message.isEmpty {
      message = "stage \(stage): \(call) failed and said nothing more"
      if error.system_error != 0 { message += " than: \(String(cString: strerror(error.system_error)))" }
    } else if domain.isEmpty || domain == stage {
      message = "\(stage): \(message)"
    } else {
      message = "\(stage) (\(domain)): \(message)"
    }
    let retry: Retry =
      switch error.retry {
      case DROVER_RETRY_TRANSIENT: .transient
      case DROVER_RETRY_AFTER_FIX: .afterFix
      default: .never
      }
    self.init(
      code.isEmpty ? (error.system_error == ENOSPC ? .noSpace : .io) : Code(rawValue: code), message,
      hint: hint.isEmpty ? nil : hint, retry: retry)
  }

  /// A plugin answered what the ABI does not allow.
  static func misbehaved(_ stage: LoadedStage, _ call: String, _ what: String) -> Fault {
    Fault(
      .pluginMisbehaved, "plugin \(stage.plugin), stage \(stage.name), call \(call): \(what)",
      hint: "this is a fault of the plugin; tell its author")
  }
}

extension UnsafeMutablePointer<drover_error> {
  /// Tells a plugin what went wrong in a device of the host's.
  func fill(_ fault: Fault) {
    let all = UnsafeMutableRawBufferPointer(
      start: self, count: min(structSize(UnsafePointer(self)), MemoryLayout<drover_error>.size))
    func field<Value>(_ path: KeyPath<drover_error, Value>) -> UnsafeMutableRawBufferPointer? {
      let start = MemoryLayout<drover_error>.offset(of: path)!
      let end = start + MemoryLayout<Value>.size
      return end <= all.count ? UnsafeMutableRawBufferPointer(rebasing: all[start..<end]) : nil
    }
    let retry =
      switch fault.retry {
      case .never: DROVER_RETRY_NEVER
      case .transient: DROVER_RETRY_TRANSIENT
      case .afterFix: DROVER_RETRY_AFTER_FIX
      }
    field(\.retry)?.storeBytes(of: retry, as: UInt32.self)
    field(\.code)?.fill(text: fault.code.rawValue)
    field(\.message)?.fill(text: fault.message)
    field(\.hint)?.fill(text: fault.hint ?? "")
  }
}

extension UnsafeMutableRawBufferPointer {
  /// As much of the text as fits, on a character's end, and a NUL.
  fileprivate func fill(text: String) {
    var end = Swift.min(text.utf8.count, count - 1)
    let bytes = Array(text.utf8)
    while end > 0, end < bytes.count, bytes[end] & 0xC0 == 0x80 { end -= 1 }
    copyBytes(from: bytes[..<end])
    self[end] = 0
  }
}
