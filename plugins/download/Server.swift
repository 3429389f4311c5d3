import Curl
import FoundationEssentials
import Glibc
import StageKit

/// The address of one download, and how to ask there. Throws `StageError` only.
struct Server {
  /// For messages: without user, password and query.
  let address: String
  private let url: String
  private let hostName: String
  private let certificateFile: String?
  private let certificateFolder: String?
  private let host: any Host

  private struct Params: Decodable {
    var url: String
    var caFile: String?
    enum CodingKeys: String, CodingKey {
      case url
      case caFile = "ca-file"
    }
  }

  init(_ request: OpenRequest, host: any Host) throws {
    let params = try request.params(as: Params.self)
    url = params.url.trimmed
    // An address that can't be read is not repeated: nobody knows where in it a password stands.
    guard let parsed = Address(url) else {
      throw StageError("invalid", "sourceParameters.url is no address", hint: "it has the form https://HOST/PATH")
    }
    guard parsed.scheme == "http" || parsed.scheme == "https" else {
      throw StageError(
        "invalid", "sourceParameters.url has the scheme \(parsed.scheme)", hint: "http and https can be downloaded")
    }
    address = parsed.forPeople
    hostName = parsed.host
    let environment = ProcessInfo.processInfo.environment
    let caFile = params.caFile.map(\.trimmed).flatMap { $0.isEmpty ? nil : $0 }
    guard caFile?.hasPrefix("/") ?? true else {
      throw StageError("invalid", "sourceParameters.ca-file must be an absolute path")
    }
    certificateFile = caFile ?? environment.given("CURL_CA_BUNDLE") ?? environment.given("SSL_CERT_FILE")
    certificateFolder = environment.given("SSL_CERT_DIR")
    self.host = host
  }

  /// Starts one request. `range` is a `Range` header's value without `bytes=`, `condition` one for `If-Range`.
  func ask(_ method: Request.Method, range: String?, condition: String?, patience seconds: Double) throws -> Transfer {
    var request = Request(method, url)
    request.redirects = 10
    request.headers = [("Accept-Encoding", "identity")]
    if let range {
      request.headers.append(("Range", "bytes=\(range)"))
      if let condition { request.headers.append(("If-Range", condition)) }
    }
    request.certificateFile = certificateFile
    request.certificateFolder = certificateFolder
    request.connectSeconds = seconds
    request.stallSeconds = seconds
    request.isCancelled = { [host] in host.isCancelled }
    host.phase("connecting", detail: hostName)
    return try explained { try Transfer(request) }
  }

  func head(of transfer: Transfer) throws -> ResponseHead {
    try explained { try transfer.head() }
  }

  /// Some bytes, as soon as there are any; 0 at the end.
  func read(_ transfer: Transfer, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    try explained { try transfer.read(into: buffer, minimum: 1) }
  }

  /// Waits, and gives signs of life.
  func wait(seconds: Double, _ phase: String) throws {
    let clock = SuspendingClock()
    let end = clock.now.advanced(by: .seconds(seconds))
    while clock.now < end {
      if host.isCancelled { throw StageError.cancelled }
      host.phase(phase, detail: hostName)
      usleep(100_000)
    }
  }

  private func explained<Result>(_ call: () throws -> Result) throws -> Result {
    do { return try call() } catch let error as CurlError { throw StageError(error, during: address) }
  }
}

extension [String: String] {
  fileprivate func given(_ name: String) -> String? { self[name].flatMap { $0.isEmpty ? nil : $0 } }
}

extension String {
  fileprivate var trimmed: String {
    var rest = self[...]
    while let first = rest.first, first.isWhitespace { rest.removeFirst() }
    while let last = rest.last, last.isWhitespace { rest.removeLast() }
    return String(rest)
  }
}
