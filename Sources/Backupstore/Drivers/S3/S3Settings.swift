import Curl
import DroverModel

/// Where a bucket is and how it is talked to, from the target's URL and its credentials. Source: longhorn-format, 9.1
/// and 9.2.
struct S3Settings: Sendable {
  /// `scheme://host[:port][/path]`, the bucket's name in it where that style is used; no trailing slash.
  var base: String
  /// As it stands in the Host header.
  var host: String
  /// Percent-encoded, before the key: empty, or `/path` and where the path style is used `/bucket`.
  var basePath: String
  var isEncrypted: Bool
  var bucket: String
  var region: String
  /// Of keys: empty, or with a trailing slash.
  var prefix: String
  var accessKey: String
  var secretKey: SecretBytes
  var sessionToken: String?
  /// PEM, trusted beside the system's.
  var certificates: [UInt8]?
  var proxy: Request.Proxy
  /// For people: the server, without any user or password.
  var server: String

  /// Throws `invalid` or `credentials-refused`; reaches nothing.
  init(_ place: BucketPlace, _ credentials: StoreCredentials, url: String) throws(StoreError) {
    guard let access = try credentials.text("AWS_ACCESS_KEY_ID"),
      let secret = try credentials.value("AWS_SECRET_ACCESS_KEY")
    else {
      throw StoreError(
        .credentialsRefused, "the target \(url) has no AWS_ACCESS_KEY_ID with an AWS_SECRET_ACCESS_KEY",
        hint: "name a Secret with both in spec.credentialSecret of the target")
    }
    bucket = place.bucket
    let endpoint = try credentials.text("AWS_ENDPOINTS")
    let usualRegion = try credentials.text("AWS_REGION") ?? "us-east-1"
    region = place.region ?? usualRegion
    prefix = place.prefix.isEmpty ? "" : "\(place.prefix)/"
    accessKey = access
    secretKey = secret
    sessionToken = try credentials.text("AWS_SESSION_TOKEN")
    let bundle = try credentials.value("AWS_CERT")
    certificates = bundle.map { $0.withBytes { Array($0) } }

    let domain = region.hasPrefix("cn-") ? "amazonaws.com.cn" : "amazonaws.com"
    let address = try Endpoint(endpoint ?? "https://s3.\(region).\(domain)", url: url)
    isEncrypted = address.isEncrypted
    // A certificate for *.s3.… is not valid for a name with more dots.
    let usual = endpoint == nil && !(isEncrypted && place.bucket.contains("."))
    let isVirtual: Bool
    switch try credentials.text("VIRTUAL_HOSTED_STYLE") {
    case nil: isVirtual = usual
    case "true": isVirtual = true
    case "false": isVirtual = false
    default:
      throw StoreError(
        .invalid, "VIRTUAL_HOSTED_STYLE in the credentials of \(url) is neither true nor false", retry: .afterFix)
    }
    host = isVirtual ? "\(bucket).\(address.authority)" : address.authority
    base = "\(address.scheme)://\(host)"
    basePath = isVirtual ? address.path : "\(address.path)/\(S3Escapes.path(bucket))"
    server = "\(address.scheme)://\(host)"
    proxy = Request.Proxy(
      address: try credentials.text(isEncrypted ? "HTTPS_PROXY" : "HTTP_PROXY") ?? "",
      except: try credentials.text("NO_PROXY") ?? "")
  }

  /// The object's whole key, percent-encoded, as the path of a request.
  func path(of object: String) -> String { "\(basePath)/\(S3Escapes.path(prefix + object))" }
}

/// `AWS_ENDPOINTS`: one address of a server.
private struct Endpoint {
  var scheme: String
  var authority: String
  var path: String
  var isEncrypted: Bool { scheme == "https" }

  init(_ text: String, url: String) throws(StoreError) {
    func refusal(_ reason: String) -> StoreError {
      StoreError(
        .invalid, "AWS_ENDPOINTS in the credentials of \(url) \(reason)",
        hint: "write one address: https://HOST or https://HOST:PORT", retry: .afterFix)
    }
    guard let address = Address(text), address.scheme == "http" || address.scheme == "https",
      let colon = text.firstRange(of: "://")
    else { throw refusal("is not an address of HTTP or HTTPS") }
    scheme = address.scheme
    let rest = text[colon.upperBound...]
    guard !rest.contains(where: { "?#@, ".contains($0) }) else { throw refusal("holds more than one plain address") }
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    var authority = rest[..<slash].lowercased()
    // As libcurl writes the Host header: the scheme's own port is left out.
    let usualPort = scheme == "https" ? ":443" : ":80"
    if authority.hasSuffix(usualPort) { authority.removeLast(usualPort.count) }
    self.authority = authority
    path = rest[slash...].split(separator: "/").map { "/\($0)" }.joined()
  }
}
