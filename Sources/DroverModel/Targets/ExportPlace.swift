/// A folder of an NFS server: `nfs://HOST:/EXPORT/PATH`. The colon belongs to it: what a mount would name is `HOST:`
/// and the path. Source: longhorn-format, 1.1 and 9.3.
public struct ExportPlace: Sendable {
  /// Lower case; an IPv6 address without its brackets.
  public let host: String
  /// Absolute, without doubled or trailing slashes, escapes resolved.
  public let path: String
  /// As they stand in the URL. Source: longhorn-format, 1.2.
  public let options: [String]
  public let mount: MountOptions

  private static let example = "write nfs://HOST:/EXPORT/PATH"

  init(_ parts: URLParts) throws(Fault) {
    guard parts.authority.last == ":" else {
      let hasPort = parts.authority.contains(":") && !parts.authority.hasSuffix("]")
      throw parts.fault(
        hasPort ? "names a port where none can stand" : "has no colon behind its host",
        hint: hasPort ? "\(Self.example)?nfsOptions=port=PORT" : Self.example)
    }
    let name = parts.authority.dropLast()
    guard let host = Self.host(name) else { throw parts.fault("names no valid host", hint: Self.example) }
    self.host = host
    path = "/" + (try parts.decodedRemotePath(example: Self.example).joined(separator: "/"))
    options = try MountOptions.options(query: parts.query ?? "", parts)
    mount = try MountOptions(options, field: parts.field)
  }

  var text: String {
    let parts = path.utf8.split(separator: UInt8(ascii: "/")).map { PercentEscapes.encoded($0) }
    return "nfs://\(host.contains(":") ? "[\(host)]" : host):/\(parts.joined(separator: "/"))"
  }

  private static func host(_ name: Substring) -> String? {
    let lower = name.lowercased()
    if lower.hasPrefix("["), lower.hasSuffix("]") {
      let address = lower.dropFirst().dropLast()
      return !address.isEmpty
        && address.utf8.allSatisfy { $0 == 58 || $0 == 46 || Character(Unicode.Scalar($0)).isHexDigit }
        ? String(address) : nil
    }
    return (1...253).contains(lower.utf8.count)
      && lower.utf8.allSatisfy { isAlphanumeric($0) || [45, 46, 95].contains($0) }
      ? lower : nil
  }
}
