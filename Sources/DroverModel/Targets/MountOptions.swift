/// Options of an NFS target, with the names that `mount.nfs` has for them.
public struct MountOptions: Sendable, Hashable {
  public enum Version: Int, Sendable { case v3 = 3, v4 = 4 }
  /// Nil: version 3 where the server has it, else 4.
  public var version: Version?
  /// Of the NFS service; nil asks the server's port mapper, or takes 2049 for version 4.
  public var port: UInt16?
  /// Of the mount service of version 3; nil asks the server's port mapper.
  public var mountPort: UInt16?
  /// How long one request may go unanswered.
  public var timeoutSeconds: Double?
  /// How often a call is begun anew after a request went unanswered.
  public var retransmissions: Int?
  /// Options that mean nothing without a mount, as they were written.
  public var ineffective: [String] = []

  public init() {}

  /// Throws `invalid` for a known option with a value that it can't have.
  public init(_ options: [String], field: String) throws(Fault) {
    for option in options {
      let sides = option.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let value = sides.count == 2 ? sides[1] : nil
      func number<T: FixedWidthInteger>(_ range: ClosedRange<T>) throws(Fault) -> T {
        guard let number = value.flatMap({ T($0) }), range.contains(number) else {
          throw Fault(
            .invalid, "\(field): the NFS option \"\(ResourceName.printable(option))\" has no valid value",
            hint: "write \(sides[0])=NUMBER, from \(range.lowerBound) to \(range.upperBound)")
        }
        return number
      }
      switch sides[0] {
      case "nfsvers", "vers": try read(version: value, option, field: field)
      case "port": port = try number(1...UInt16.max)
      case "mountport": mountPort = try number(1...UInt16.max)
      // Tenths of a second.
      case "timeo": timeoutSeconds = Double(try number(1...36000) as Int) / 10
      case "retrans": retransmissions = try number(0...100)
      // Every call ends by its deadline, which is what `soft` asks for.
      case "soft" where value == nil: break
      default: ineffective.append(option)
      }
    }
  }

  private mutating func read(version value: Substring?, _ option: String, field: String) throws(Fault) {
    switch value {
    case "3": version = .v3
    case "4", "4.0": version = .v4
    case "4.1", "4.2":
      version = .v4
      // What is spoken is 4.0, which a server of these has too.
      ineffective.append(option)
    default:
      throw Fault(
        .invalid, "\(field): the NFS option \"\(ResourceName.printable(option))\" asks for a version that is not known",
        hint: "write nfsvers=3 or nfsvers=4")
    }
  }

  /// Source: longhorn-format, 1.2: one value is split at commas, several are one option each.
  static func options(query: Substring, _ parts: URLParts) throws(Fault) -> [String] {
    var values: [String] = []
    for pair in query.split(separator: "&") {
      let sides = pair.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      guard sides[0] == "nfsOptions" else {
        throw parts.fault(
          "has the unknown option \"\(ResourceName.printable(String(sides[0])))\"",
          hint: "write nfs://HOST:/EXPORT/PATH?nfsOptions=nfsvers=3")
      }
      guard let value = PercentEscapes.decoded((sides.count == 2 ? sides[1] : "").utf8),
        !value.contains(where: { $0 <= 32 || $0 == 127 })
      else { throw parts.fault("has an option that is no text", hint: "write nfsOptions=nfsvers=3,port=2049") }
      values.append(String(decoding: value, as: UTF8.self))
    }
    if values.count == 1 { values = values[0].split(separator: ",").map(String.init) }
    return values.filter { !$0.isEmpty }
  }

  /// The query that `options(query:)` reads so.
  static func query(_ options: [String]) -> String {
    let escaped = options.map { PercentEscapes.encoded($0.utf8) }
    // A list of one would be split where it holds a comma.
    guard options.count > 1, options.contains(where: { $0.contains(",") }) else {
      return "nfsOptions=\(escaped.joined(separator: ","))"
    }
    return escaped.map { "nfsOptions=\($0)" }.joined(separator: "&")
  }
}
