import Curl
import StageKit

// What each failure means for the job. The address is given without user, password and query.

extension StageError {
  init(_ error: CurlError, during address: String) {
    let asked = "GET \(address): \(error)"
    switch error.code {
    case .cancelled: self = .cancelled
    case .stalled, .timedOut:
      self.init("stalled", asked, hint: "the server or the way to it is too slow or gone", retry: .transient)
    case .certificate:
      self.init(
        "certificate-refused", asked,
        hint: "name the certificate of its authority in sourceParameters.ca-file, or add it to the system's")
    case .badCertificateFile, .clientCertificate:
      self.init("invalid", asked, hint: "ca-file, SSL_CERT_FILE or CURL_CA_BUNDLE must name a readable PEM file")
    case .tooManyRedirects:
      self.init("redirect-refused", asked, hint: "use the address that the redirects should lead to")
    case .unsupportedProtocol,
      .badAddress where (300..<400).contains(error.status ?? 0):
      self.init("redirect-refused", asked, hint: "redirects are followed to http and https only")
    case .unsupportedProtocol, .badAddress, .headTooLong, .weirdReply, .fileTooLong: self.init("bad-response", asked)
    case .hostNotResolved, .proxyNotResolved:
      self.init("network", asked, hint: "is the name right, and does this host resolve names?", retry: .transient)
    default: self.init("network", asked, retry: .transient)
    }
  }

  init(status: Int, during address: String) {
    let asked = "GET \(address) was answered with \(status)"
    switch status {
    case 401, 403:
      self.init(
        "credentials-refused", asked,
        hint: "give user and password in the address, or one that is signed and not expired")
    case 407: self.init("credentials-refused", asked, hint: "give user and password in the proxy variable")
    case 404, 410: self.init("not-found", asked, hint: "check sourceParameters.url")
    case 408, 425, 429: self.init("network", asked, retry: .transient)
    case 501, 505: self.init("http-status", asked)
    case 500...599: self.init("network", asked, hint: "the server has trouble of its own", retry: .transient)
    default: self.init("http-status", asked, hint: "check sourceParameters.url")
    }
  }

  static func sourceChanged(_ address: String, _ detail: String) -> StageError {
    StageError(
      "source-changed", "the content at \(address) changed during the download: \(detail)",
      hint: "the next attempt begins anew", retry: .transient)
  }

  static func badSize(_ size: UInt64, _ address: String) -> StageError {
    StageError(
      "bad-size", "\(address) has \(size) bytes, which is not a multiple of 512",
      hint: "a disk image always is; the address may lead to something else, or to a compressed image")
  }
}
