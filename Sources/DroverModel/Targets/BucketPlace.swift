/// A prefix in a bucket of S3: `s3://BUCKET@REGION/PREFIX`. Source: longhorn-format, 1.1 and 9.2.
public struct BucketPlace: Sendable {
  public let bucket: String
  /// Nil where the URL names none.
  public let region: String?
  /// Without leading or trailing slash, escapes resolved; may be empty.
  public let prefix: String

  private static let example = "write s3://BUCKET@REGION/PREFIX"

  init(_ parts: URLParts) throws(Fault) {
    let sides = parts.authority.split(separator: "@", omittingEmptySubsequences: false)
    guard let name = sides.first, sides.count <= 2 else { throw parts.fault("has two @", hint: Self.example) }
    guard Self.isBucket(name) else {
      throw parts.fault(
        "names no valid bucket", hint: "\(Self.example); a bucket has 3 or more letters, digits, dots, dashes")
    }
    guard sides.count == 1 || Self.isRegion(sides[1]) else {
      throw parts.fault(
        "names no valid region", hint: "\(Self.example); the address of another server goes into AWS_ENDPOINTS")
    }
    guard parts.query == nil else { throw parts.fault("has options, which a bucket has not", hint: Self.example) }
    bucket = String(name)
    region = sides.count == 2 ? String(sides[1]) : nil
    prefix = try parts.decodedRemotePath(example: Self.example).joined(separator: "/")
  }

  var text: String {
    let path = prefix.utf8.split(separator: UInt8(ascii: "/")).map { PercentEscapes.encoded($0) }
    return "s3://\(bucket)\(region.map { "@\($0)" } ?? "")/\(path.joined(separator: "/"))"
  }

  private static func isBucket(_ name: Substring) -> Bool {
    (3...255).contains(name.utf8.count) && name.utf8.first.map(isAlphanumeric) == true
      && name.utf8.allSatisfy { isAlphanumeric($0) || [45, 46, 95].contains($0) } && !name.contains("..")
  }

  private static func isRegion(_ name: Substring) -> Bool {
    (1...64).contains(name.utf8.count) && name.utf8.allSatisfy { isAlphanumeric($0) || $0 == 45 || $0 == 95 }
  }
}

func isAlphanumeric(_ byte: UInt8) -> Bool {
  switch byte {
  case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
    UInt8(ascii: "0")...UInt8(ascii: "9"):
    true
  default: false
  }
}
