import DroverModel
import FoundationEssentials
import Glibc

/// A target's credentials as a person has them: in a file, or in the environment as other tools for buckets take them.
enum GivenCredentials {
  /// What Longhorn's Secrets hold, and what is beside it in the environment of such tools. Source: longhorn-format, 9.1.
  static let known: Set<String> = [
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINTS", "AWS_CERT",
    "AWS_SIGN_ACCEPT_ENCODING", "AWS_IAM_ROLE_ARN", "VIRTUAL_HOSTED_STYLE", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
    "CIFS_USERNAME", "CIFS_PASSWORD", "AZBLOB_ACCOUNT_NAME", "AZBLOB_ACCOUNT_KEY", "AZBLOB_ENDPOINT", "AZBLOB_CERT",
  ]

  /// Of a file, where one is named; else of the environment, where the target is a bucket.
  static func read(file: String?, for url: String) throws -> [(name: String, value: SecretBytes)] {
    if let file {
      var bytes = try readInput(file, limit: 1 << 20)
      defer { bytes.withUnsafeMutableBytes { if let base = $0.baseAddress { explicit_bzero(base, $0.count) } } }
      return try parse(bytes, file: file)
    }
    let trimmed = url.drop { $0 == "\"" || $0 == "'" || $0.isWhitespace }
    return trimmed.lowercased().hasPrefix("s3://") ? environment() : []
  }

  private static func environment() -> [(name: String, value: SecretBytes)] {
    // Other names for the same thing, the first that is set counts.
    let names = [
      ("AWS_ACCESS_KEY_ID", ["AWS_ACCESS_KEY_ID"]), ("AWS_SECRET_ACCESS_KEY", ["AWS_SECRET_ACCESS_KEY"]),
      ("AWS_SESSION_TOKEN", ["AWS_SESSION_TOKEN"]), ("AWS_REGION", ["AWS_REGION", "AWS_DEFAULT_REGION"]),
      ("AWS_ENDPOINTS", ["AWS_ENDPOINTS", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"]), ("AWS_CERT", ["AWS_CERT"]),
      ("VIRTUAL_HOSTED_STYLE", ["VIRTUAL_HOSTED_STYLE"]), ("HTTP_PROXY", ["HTTP_PROXY", "http_proxy"]),
      ("HTTPS_PROXY", ["HTTPS_PROXY", "https_proxy"]), ("NO_PROXY", ["NO_PROXY", "no_proxy"]),
    ]
    return names.compactMap { name, variables in
      for variable in variables {
        if let value = getenv(variable), value.pointee != 0 {
          return (name, SecretBytes(copying: UnsafeRawBufferPointer(start: value, count: strlen(value))))
        }
      }
      return nil
    }
  }

  /// `KEY=VALUE` a line, perhaps with `export` before it; empty lines and those that begin with `#` are skipped. A value
  /// in quotes, of either kind, may go over several lines, as a certificate does. Nothing within it is an escape.
  static func parse(_ bytes: [UInt8], file: String) throws(Fault) -> [(name: String, value: SecretBytes)] {
    var found: [(name: String, value: SecretBytes)] = []
    var rest = bytes[...]
    var line = 0
    func fault(_ problem: String) -> Fault {
      Fault(.invalid, "\(file), line \(line): \(problem)", hint: "write KEY=VALUE lines, as AWS_ACCESS_KEY_ID=…")
    }
    while !rest.isEmpty {
      line += 1
      let text = trimmed(takeLine(&rest))
      guard let first = text.first, first != UInt8(ascii: "#") else { continue }
      guard let equals = text.firstIndex(of: UInt8(ascii: "=")) else { throw fault("there is no = in it") }
      var words = text[..<equals].split { isBlank($0) }.map { String(decoding: $0, as: UTF8.self) }
      if words.count == 2, words[0] == "export" { words.removeFirst() }
      guard words.count == 1, let name = words.first else { throw fault("what is before the = is no name") }
      guard known.contains(name) else {
        let near = nearestName(to: name, among: known)
        throw fault("\(name) is no credential" + (near.map { "; did you mean \($0)?" } ?? ""))
      }
      guard !found.contains(where: { $0.name == name }) else { throw fault("\(name) is there twice") }
      var value = Array(trimmed(text[text.index(after: equals)...]))
      defer { value.withUnsafeMutableBytes { if let base = $0.baseAddress { explicit_bzero(base, $0.count) } } }
      if let quote = value.first, quote == UInt8(ascii: "\"") || quote == UInt8(ascii: "'") {
        value.removeFirst()
        while value.last != quote {
          guard !rest.isEmpty else { throw fault("the quote round \(name) does not end") }
          value.append(UInt8(ascii: "\n"))
          value += trimmed(takeLine(&rest))
          line += 1
        }
        value.removeLast()
      }
      found.append((name, value.withUnsafeBytes { SecretBytes(copying: $0) }))
    }
    return found
  }

  private static func takeLine(_ rest: inout ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    let line = rest.prefix { $0 != UInt8(ascii: "\n") }
    rest = rest.dropFirst(line.count + 1)
    return line
  }

  private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
    var text = text
    while let first = text.first, isBlank(first) { text.removeFirst() }
    while let last = text.last, isBlank(last) { text.removeLast() }
    return text
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || (9...13).contains(byte) }
}
