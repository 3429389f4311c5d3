/// Why a transfer did not come about or ended early.
public struct CurlError: Error, Sendable, CustomStringConvertible {
  public var code: Code
  /// libcurl's own words about this transfer where it has any, else the code's. May hold a host, never a password.
  public var message: String
  /// errno of the system call that failed, or 0.
  public var systemError: Int32
  /// HTTP status of the last response, if one came.
  public var status: Int?

  init(_ code: Code, _ message: String, systemError: Int32 = 0, status: Int? = nil) {
    self.code = code
    self.message = message
    self.systemError = systemError
    self.status = status
  }

  public var description: String {
    code.rawValue > 0 ? "\(message) (curl \(code.rawValue))" : message
  }

  /// A `CURLcode`, or one of the negative values that this module adds.
  public struct Code: RawRepresentable, Sendable, Hashable {
    public var rawValue: Int32
    public init(rawValue: Int32) { self.rawValue = rawValue }

    public static let unsupportedProtocol = Code(rawValue: 1)
    public static let badAddress = Code(rawValue: 3)
    public static let proxyNotResolved = Code(rawValue: 5)
    public static let hostNotResolved = Code(rawValue: 6)
    public static let notConnected = Code(rawValue: 7)
    public static let weirdReply = Code(rawValue: 8)
    /// The body ended before its announced length or its last chunk.
    public static let partialBody = Code(rawValue: 18)
    public static let timedOut = Code(rawValue: 28)
    public static let tooManyRedirects = Code(rawValue: 47)
    public static let emptyReply = Code(rawValue: 52)
    public static let sendFailed = Code(rawValue: 55)
    public static let receiveFailed = Code(rawValue: 56)
    public static let clientCertificate = Code(rawValue: 58)
    /// The server's certificate is not trusted, or is for another name.
    public static let certificate = Code(rawValue: 60)
    /// A length is announced that no file can have.
    public static let fileTooLong = Code(rawValue: 63)
    public static let badCertificateFile = Code(rawValue: 77)

    /// No byte came or went for `Request.stallSeconds`.
    public static let stalled = Code(rawValue: -1)
    /// `Request.isCancelled` said so.
    public static let cancelled = Code(rawValue: -2)
    /// The head of a response is longer than 256 KiB.
    public static let headTooLong = Code(rawValue: -3)
    /// The body is longer than the caller is ready to hold.
    public static let bodyTooLong = Code(rawValue: -4)
    /// The descriptor that a request's body comes from can't be read, or ended before the announced size.
    public static let bodySource = Code(rawValue: -5)
  }
}
