public import DroverModel

/// The body of every answer that is not a success, and what `-o json` prints of a failure.
public struct ErrorResponse: Sendable, Hashable, Codable {
  public var error: Content

  public init(_ fault: Fault) {
    error = Content(
      code: fault.code.rawValue, message: fault.message, hint: fault.hint ?? "", retry: fault.retry,
      exitCode: fault.code.exitCode)
  }

  public struct Content: Sendable, Hashable, Codable {
    public var code: String
    public var message: String
    /// What to do next; may be empty.
    public var hint: String
    public var retry: Fault.Retry
    /// With which `drover` ends.
    public var exitCode: Int32
  }

  public var fault: Fault {
    Fault(
      Fault.Code(rawValue: error.code), error.message, hint: error.hint.isEmpty ? nil : error.hint, retry: error.retry)
  }
}

extension Fault {
  /// Status of the HTTP answer that carries it.
  public var httpStatus: Int {
    switch code {
    case .invalid, .unknownKind, .badSize, .unknownStage: 400
    case .credentialsRefused, .notPermitted: 403
    case .notFound: 404
    case .conflict, .inUse, .contentConflict, .unfinishedBackup, .cancelled, .uploadInterrupted: 409
    case .checksumMismatch, .badBlock, .missingBlock, .keyMissing, .wrongKey: 422
    case .locked: 423
    case .notSupported: 501
    case .targetUnreachable: 503
    case .timedOut: 504
    case .noSpace: 507
    default: 500
    }
  }
}
