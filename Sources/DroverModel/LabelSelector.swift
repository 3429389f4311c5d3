/// `-l usecase=test,type`: all conditions must hold.
public struct LabelSelector: Sendable, Hashable {
  /// Key and the value it must have; nil asks only that the key is there.
  public var conditions: [String: String?]

  public init(conditions: [String: String?] = [:]) { self.conditions = conditions }

  /// Reads `key=value`, `key==value` and `key`, separated by commas. Throws `invalid`.
  public init(_ text: String) throws(Fault) {
    var conditions: [String: String?] = [:]
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let sides = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
      let key = String(sides[0])
      guard !key.isEmpty, !key.hasSuffix("!") else {
        throw Fault(
          .invalid, "\"\(text)\" is not a label selector", hint: "write KEY=VALUE, or KEY, separated by commas")
      }
      var value: String?
      if sides.count == 2 { value = String(sides[1].hasPrefix("=") ? sides[1].dropFirst() : sides[1]) }
      conditions.updateValue(value, forKey: key)
    }
    self.conditions = conditions
  }

  public func matches(_ labels: [String: String]?) -> Bool {
    conditions.allSatisfy { key, wanted in
      guard let value = labels?[key] else { return false }
      return wanted.map { $0 == value } ?? true
    }
  }
}

/// Checks labels by Longhorn's rule: keys are Kubernetes qualified names, values are free.
/// Source: longhorn-engine `pkg/util/util.go`.
func checkLabelKey(_ key: String, _ field: String) throws(Fault) {
  let parts = key.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
  let name = parts[parts.count - 1]
  func isAlphanumeric(_ c: Character) -> Bool { c.isASCII && (c.isLetter || c.isNumber) }
  func isInner(_ c: Character) -> Bool { isAlphanumeric(c) || c == "-" || c == "_" || c == "." }
  let nameFits =
    (1...63).contains(name.count) && name.allSatisfy(isInner) && isAlphanumeric(name.first!)
    && isAlphanumeric(name.last!)
  let prefix = parts.count == 2 ? parts[0] : "a"
  let prefixFits =
    (1...253).contains(prefix.count)
    && prefix.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { label in
      guard let first = label.first, let last = label.last else { return false }
      return label.allSatisfy { ($0.isASCII && ($0.isLowercase || $0.isNumber)) || $0 == "-" } && first != "-"
        && last != "-"
    }
  guard nameFits, prefixFits else {
    throw Fault(
      .invalid, "\(field): \"\(ResourceName.printable(key))\" is not a label key",
      hint: "at most 63 letters, digits, - _ . with a letter or digit at both ends, and an optional DNS prefix with /")
  }
}
