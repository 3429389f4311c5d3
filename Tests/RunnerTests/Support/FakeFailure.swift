import CDroverPlugin

/// What a fake stage answers with -1.
struct FakeFailure: Error {
  var code = "io"
  var message = "made to fail"
  var retry = DROVER_RETRY_NEVER

  static let cancelled = FakeFailure(code: "cancelled", message: "told to give up")

  func fill(_ error: UnsafeMutablePointer<drover_error>?) {
    guard let error else { return }
    error.pointee.retry = retry
    withUnsafeMutableBytes(of: &error.pointee.code) { $0.copyBytes(from: code.utf8.prefix(63)) }
    withUnsafeMutableBytes(of: &error.pointee.message) { $0.copyBytes(from: message.utf8.prefix(1023)) }
  }
}

func answer(_ error: UnsafeMutablePointer<drover_error>?, _ body: () throws -> Int64) -> Int64 {
  do {
    return try body()
  } catch {
    fillError(error)
    return -1
  }
  func fillError(_ thrown: any Error) {
    ((thrown as? FakeFailure) ?? FakeFailure(code: "internal", message: "\(thrown)")).fill(error)
  }
}
