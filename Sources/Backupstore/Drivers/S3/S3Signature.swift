import DroverModel
import Glibc
import OpenSSL

/// The signature of one request, version 4. Source: AWS, "Create a signed AWS API request" and "Signature calculations for
/// the Authorization header: transferring a payload in a single chunk".
///
/// Over plain HTTP the payload's SHA-256 is part of it, so that the server refuses what was changed on the way. Over TLS,
/// which sees to that itself, the payload is not hashed once more: `UNSIGNED-PAYLOAD`. No trailers, no chunks: servers that
/// are not Amazon's often know neither.
struct S3Signature {
  /// Seconds since 1970.
  var time: Int64
  var method: String
  var host: String
  /// Percent-encoded.
  var path: String
  /// Name and value, not encoded.
  var query: [(String, String)]
  /// Hexadecimal digits, or `UNSIGNED-PAYLOAD`.
  var payload: String

  static let unsigned = "UNSIGNED-PAYLOAD"
  static let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  /// Encoded and sorted, as it must also be sent.
  var queryText: String {
    query.map { (S3Escapes.queryValue($0.0), S3Escapes.queryValue($0.1)) }.sorted { $0 < $1 }
      .map { "\($0.0)=\($0.1)" }.joined(separator: "&")
  }

  /// The headers to send, `Authorization` among them.
  func headers(_ settings: S3Settings) -> [(name: String, value: String)] {
    let stamp = Self.stamp(time)
    var signed = [("host", host), ("x-amz-content-sha256", payload), ("x-amz-date", stamp)]
    if let token = settings.sessionToken { signed.append(("x-amz-security-token", token)) }
    let names = signed.map(\.0).joined(separator: ";")
    let canonical = """
      \(method)
      \(path)
      \(queryText)
      \(signed.map { "\($0.0):\($0.1)\n" }.joined())
      \(names)
      \(payload)
      """
    let scope = "\(stamp.prefix(8))/\(settings.region)/s3/aws4_request"
    let text = "AWS4-HMAC-SHA256\n\(stamp)\n\(scope)\n\(Self.hash(canonical))"
    let signature = hexadecimal(Self.code(text, key: key(settings, day: String(stamp.prefix(8)))))
    let credential = "\(settings.accessKey)/\(scope)"
    return signed.map { (name: $0.0, value: $0.1) } + [
      (
        name: "Authorization",
        value: "AWS4-HMAC-SHA256 Credential=\(credential), SignedHeaders=\(names), Signature=\(signature)"
      )
    ]
  }

  private func key(_ settings: S3Settings, day: String) -> [UInt8] {
    var first = settings.secretKey.withBytes { Array("AWS4".utf8) + $0 }
    defer { first.withUnsafeMutableBytes { explicit_bzero($0.baseAddress!, $0.count) } }
    return [day, settings.region, "s3", "aws4_request"].reduce(first) { Self.code($1, key: $0) }
  }

  private static func hash(_ text: String) -> String {
    Array(text.utf8).withUnsafeBytes { hexadecimal(SHA256.hash($0)) }
  }

  private static func code(_ text: String, key: [UInt8]) -> [UInt8] {
    Array(text.utf8).withUnsafeBytes { text in
      key.withUnsafeBytes { SHA256.authenticationCode(text, key: $0) }
    }
  }

  /// `20150830T123600Z`
  static func stamp(_ time: Int64) -> String {
    var seconds = time_t(time)
    var parts = tm()
    gmtime_r(&seconds, &parts)
    func two(_ number: Int32) -> String { number < 10 ? "0\(number)" : "\(number)" }
    return "\(parts.tm_year + 1900)\(two(parts.tm_mon + 1))\(two(parts.tm_mday))T"
      + "\(two(parts.tm_hour))\(two(parts.tm_min))\(two(parts.tm_sec))Z"
  }
}
