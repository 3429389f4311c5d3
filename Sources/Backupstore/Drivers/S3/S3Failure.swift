import Curl
import DroverModel

/// What an answer or a broken transfer means for whoever asked.
struct S3Failure {
  var error: StoreError
  /// It may well be over in a moment.
  var isPassing: Bool

  private init(_ error: StoreError, isPassing: Bool = false) {
    self.error = error
    self.isPassing = isPassing
  }

  /// Of an answer whose status is not 2xx, and none that the caller makes sense of itself.
  init(_ answer: Session.Answer, doing what: String, _ settings: S3Settings, url: String) {
    let problem = S3Problem(answer)
    let words = [problem.code, problem.message].filter { !$0.isEmpty }.joined(separator: ": ")
    let said = "the server answered \(answer.status)\(words.isEmpty ? "" : " (\(settings.redacted(words)))")"
    func failure(
      _ code: StoreError.Code, _ text: String, _ hint: String = "", retry: StoreError.Retry? = nil,
      passing: Bool = false
    ) -> S3Failure {
      S3Failure(StoreError(code, "\(text): \(said)", hint: hint, retry: retry), isPassing: passing)
    }
    let doing = "could not \(what) in \(url)"

    switch (answer.status, problem.code) {
    case (_, "RequestTimeTooSkewed"):
      self = failure(
        .credentialsRefused,
        "the clocks of this host and of \(settings.server) are too far apart for signed requests"
          + (answer["date"].map { " (there it is \($0.prefix(40)))" } ?? ""),
        "set this host's clock, or the server's")
    case (_, "NoSuchBucket"):
      self = failure(
        .targetUnreachable, "bucket \(settings.bucket) does not exist at \(settings.server)",
        "make the bucket, or correct its name and AWS_ENDPOINTS")
    case (300..<400, _), (400, "AuthorizationHeaderMalformed"), (400, "IllegalLocationConstraintException"):
      let region = problem.region.flatMap { $0 == settings.region ? nil : $0 }
      self = failure(
        .targetUnreachable,
        region.map { "bucket \(settings.bucket) is in region \($0), not in \(settings.region)" }
          ?? "\(settings.server) sends requests for bucket \(settings.bucket) elsewhere",
        region.map { "write s3://\(settings.bucket)@\($0)/ in the target's URL" }
          ?? "correct the region in the target's URL, AWS_ENDPOINTS, or VIRTUAL_HOSTED_STYLE")
    case (_, "InvalidAccessKeyId"), (_, "SignatureDoesNotMatch"), (_, "ExpiredToken"), (_, "InvalidToken"),
      (_, "InvalidSecurity"), (401, _):
      self = failure(
        .credentialsRefused, "\(settings.server) refuses the credentials of \(url)",
        "correct AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the target's Secret")
    case (_, "XMinioStorageFull"), (_, "QuotaExceeded"), (_, "XMinioAdminBucketQuotaExceeded"), (507, _):
      self = failure(.noSpace, "the target \(url) is full", "make room there, then try again")
    case (403, let code):
      // A bare 403 comes from servers that do not tell why, mostly because the key is unknown.
      self = failure(
        code.isEmpty ? .credentialsRefused : .notPermitted, doing,
        "allow these credentials PutObject, GetObject, DeleteObject and ListBucket on bucket \(settings.bucket)")
    case (407, _): self = failure(.targetUnreachable, "the proxy refuses to be used for \(url)", "correct its password")
    case (404, _): self = failure(.targetUnreachable, doing, "correct AWS_ENDPOINTS, or the bucket's name")
    case (429, _), (_, "SlowDown"), (_, "RequestTimeout"), (_, "OperationAborted"), (_, "XAmzContentSHA256Mismatch"),
      (_, "BadDigest"), (_, "IncompleteBody"):
      self = failure(.network, doing, passing: true)
    case (501, _): self = failure(.notSupported, doing)
    case (500..., _): self = failure(.network, doing, passing: true)
    default: self = failure(.io, doing, retry: .never)
    }
  }

  init(_ error: CurlError, doing what: String, _ settings: S3Settings, url: String, isOpening: Bool) {
    let words = settings.redacted("\(error)")
    func failure(_ code: StoreError.Code, _ hint: String = "", passing: Bool = false) -> S3Failure {
      S3Failure(
        StoreError(
          code, "could not \(what) in \(url) at \(settings.server): \(words)", hint: hint,
          systemError: error.systemError), isPassing: passing)
    }
    switch error.code {
    case .certificate, .badCertificateFile, .clientCertificate:
      self = failure(.targetUnreachable, "put the certificate of the server's authority into AWS_CERT")
    case .badAddress, .unsupportedProtocol: self = failure(.targetUnreachable, "correct AWS_ENDPOINTS")
    case .bodyTooLong: self = failure(.badBlock)
    case .headTooLong: self = failure(.io)
    case .hostNotResolved, .notConnected, .proxyNotResolved:
      self = failure(
        isOpening ? .targetUnreachable : .network, "see whether the server runs and the network is up", passing: true)
    default: self = failure(isOpening ? .targetUnreachable : .network, passing: true)
    }
  }
}

extension S3Settings {
  /// Without the keys, wherever somebody else's text repeats them.
  func redacted(_ text: String) -> String {
    var text = text
    for secret in [secretKey.text, sessionToken, accessKey, proxy.address] {
      guard let secret, !secret.isEmpty else { continue }
      while let place = text.firstRange(of: secret) { text.replaceSubrange(place, with: "…") }
    }
    return text
  }
}
