public import DroverModel

/// Where a backup target is. Source: longhorn-format, 1.1.
///
/// A folder is `file:///absolute/folder`, which is the canonical form, or Longhorn's own `vfs:///absolute/folder`; a bucket
/// is `s3://BUCKET@REGION/PREFIX`, an export `nfs://HOST:/EXPORT/PATH`. What the grammar of the last two takes is decided
/// in one place for daemon and worker: `TargetURL`.
public struct StoreURL: Sendable, Hashable, CustomStringConvertible {
  public let place: TargetURL.Place
  /// Canonical, without options.
  public let description: String
  /// Canonical, with the options that a driver needs.
  public let text: String

  /// Throws `invalid` for what is no such URL, `not-supported` for other schemes. Of a query only `nfsOptions` is the
  /// target's, and only where it is an export.
  public init(_ text: String) throws(StoreError) {
    let text = Self.unquoted(text)
    guard let colon = text.firstRange(of: "://") else {
      throw StoreError(
        .invalid, "\(text.debugDescription) is not the URL of a backup target",
        hint: "a folder is written file:///absolute/folder")
    }
    let scheme = text[..<colon.lowerBound].lowercased()
    guard scheme == "file" || scheme == "vfs" else {
      let target = try Self.remote(text, scheme)
      (place, description, self.text) = (target.place, target.canonical, target.text)
      return
    }
    let rest = text[colon.upperBound...].prefix { $0 != "?" && $0 != "#" }
    guard rest.hasPrefix("/") else {
      throw StoreError(
        .invalid, "\(text.debugDescription) names a host, but a \(scheme) target is a local folder",
        hint: "write three slashes: \(scheme):///absolute/folder")
    }
    guard let decoded = Self.percentDecoded(rest), !decoded.utf8.contains(0) else {
      throw StoreError(.invalid, "\(text.debugDescription) holds a bad percent escape")
    }
    let parts = decoded.split(separator: "/")
    guard !parts.contains("..") && !parts.contains(".") else {
      throw StoreError(.invalid, "\(text.debugDescription) holds . or .. in its path", hint: "write the path plainly")
    }
    let path = "/" + parts.joined(separator: "/")
    place = .folder(path: path)
    description = "file://" + Self.percentEncoded(path)
    self.text = description
  }

  private static func remote(_ text: String, _ scheme: String) throws(StoreError) -> TargetURL {
    let sides = text.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let options = (sides.count == 2 ? sides[1] : "").split(separator: "&").filter { $0.hasPrefix("nfsOptions=") }
    let target = scheme == "nfs" && !options.isEmpty ? "\(sides[0])?\(options.joined(separator: "&"))" : "\(sides[0])"
    do throws(Fault) {
      return try TargetURL(target, field: "target")
    } catch {
      let known = ["s3", "nfs", "cifs", "azblob"].contains(scheme)
      throw StoreError(
        known && error.code == .invalid ? .invalid : .notSupported, error.message, hint: error.hint ?? "")
    }
  }

  /// Absolute: of the folder, in the export, or `/` and the prefix in the bucket.
  public var path: String {
    switch place {
    case .folder(let path): path
    case .bucket(let bucket): "/\(bucket.prefix)"
    case .export(let export): export.path
    }
  }

  /// Whether it is a folder of this host.
  public var isFolder: Bool { if case .folder = place { true } else { false } }

  public static func == (left: Self, right: Self) -> Bool { left.description == right.description }
  public func hash(into hasher: inout Hasher) { hasher.combine(description) }

  /// Without the artefacts that shells and JSON printers leave: quotes around it, `&` as an escape. Each form of the
  /// escape is replaced once, as Longhorn does, and the bare one only where a query's key follows, since it may well
  /// be part of a folder's name.
  static func unquoted(_ text: String) -> String {
    var text = text
    while let first = text.first, first == "\"" || first == "'" || first.isWhitespace { text.removeFirst() }
    while let last = text.last, last == "\"" || last == "'" || last.isWhitespace { text.removeLast() }
    if let escape = text.firstRange(of: #"\u0026"#) { text.replaceSubrange(escape, with: "&") }
    if let query = text.firstIndex(of: "?") {
      for key in ["backingImage=", "volume=", "backup="] {
        if let escape = text[query...].firstRange(of: "u0026\(key)") {
          text.replaceSubrange(escape, with: "&\(key)")
          break
        }
      }
    }
    return text
  }

  static func percentDecoded(_ text: some StringProtocol) -> String? {
    var bytes: [UInt8] = []
    var input = text.utf8.makeIterator()
    while let byte = input.next() {
      guard byte == UInt8(ascii: "%") else {
        bytes.append(byte)
        continue
      }
      guard let high = input.next().flatMap({ Character(Unicode.Scalar($0)).hexDigitValue }),
        let low = input.next().flatMap({ Character(Unicode.Scalar($0)).hexDigitValue })
      else { return nil }
      bytes.append(UInt8(high << 4 | low))
    }
    return String(validating: bytes, as: UTF8.self)
  }

  private static func percentEncoded(_ path: String) -> String {
    var output = ""
    for byte in path.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: "@"), UInt8(ascii: ":"), UInt8(ascii: "+"),
        UInt8(ascii: ","), UInt8(ascii: "="):
        output.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        output += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return output
  }
}
