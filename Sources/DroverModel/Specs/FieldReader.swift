/// Reads the members of one object of a document, one after the other, and then says what nobody asked for.
///
/// An absent member and null mean the same.
struct FieldReader {
  /// Where the object stands, for messages: `spec.sourceParameters`.
  let path: String
  /// What was read and is kept, as it was written.
  private(set) var kept: [String: JSONValue] = [:]
  var warnings: [String] = []
  private var rest: [String: JSONValue]
  private var known: [String] = []

  /// Of a manifest, for which `--validate` goes; false for a configuration.
  private let isDocument: Bool

  init(_ members: [String: JSONValue], path: String, isDocument: Bool = true) {
    self.path = path
    self.isDocument = isDocument
    rest = members.filter { !$0.value.isNull }
  }

  init(_ value: JSONValue?, path: String) throws(Fault) {
    switch value {
    case nil, .null: self.init([:], path: path)
    case .object(let members): self.init(members, path: path)
    case .some(let other): throw Fault(.invalid, "\(path) must be an object, not \(other.typeName)")
    }
  }

  /// Keys that nobody asked for yet, sorted.
  var unread: [String] { rest.keys.sorted() }

  func field(_ key: String) -> String { "\(path).\(key)" }

  func fault(_ key: String, _ message: String, hint: String? = nil) -> Fault {
    Fault(.invalid, "\(field(key)) \(message)", hint: hint)
  }

  mutating func value(_ key: String) -> JSONValue? {
    known.append(key)
    guard let value = rest.removeValue(forKey: key) else { return nil }
    kept[key] = value
    return value
  }

  /// A string, and nothing else.
  mutating func string(_ key: String) throws(Fault) -> String? {
    guard let value = value(key) else { return nil }
    guard let string = value.string else {
      throw fault(key, "must be a string, not \(value.typeName)", hint: value.isScalar ? "put it in quotes" : nil)
    }
    return string
  }

  /// A string without the white space round it; an empty one counts as absent. A bare number or boolean is taken for
  /// its text.
  mutating func text(_ key: String) throws(Fault) -> String? {
    guard let value = value(key) else { return nil }
    guard let text = value.scalarText?.trimmed else { throw fault(key, "must be a string, not \(value.typeName)") }
    return text.isEmpty ? nil : text
  }

  /// A whole number, bare or in quotes.
  mutating func integer(_ key: String, _ range: ClosedRange<Int64>) throws(Fault) -> Int64? {
    guard let value = value(key) else { return nil }
    let number = value.int ?? value.string.flatMap { Int64($0.trimmed) }
    guard let number else { throw fault(key, "must be a whole number, not \(value.shown)") }
    guard range.contains(number) else {
      throw fault(key, "is \(number); it must be from \(range.lowerBound) to \(range.upperBound)")
    }
    return number
  }

  mutating func bool(_ key: String) throws(Fault) -> Bool? {
    guard let value = value(key) else { return nil }
    guard let bool = value.bool else { throw fault(key, "must be true or false, not \(value.shown)") }
    return bool
  }

  mutating func array(_ key: String) throws(Fault) -> [JSONValue]? {
    guard let value = value(key) else { return nil }
    guard let array = value.array else { throw fault(key, "must be a list, not \(value.typeName)") }
    return array
  }

  mutating func object(_ key: String) throws(Fault) -> [String: JSONValue]? {
    guard let value = value(key) else { return nil }
    guard let object = value.object else { throw fault(key, "must be an object, not \(value.typeName)") }
    return object
  }

  /// Keys by the label rule, values strings.
  mutating func labels(_ key: String) throws(Fault) -> [String: String]? {
    guard let members = try object(key) else { return nil }
    var labels: [String: String] = [:]
    for (name, value) in members.sorted(by: { $0.key < $1.key }) where !value.isNull {
      try checkLabelKey(name, field(key))
      guard let string = value.string else {
        throw fault(
          "\(key).\(name)", "must be a string, not \(value.typeName)", hint: value.isScalar ? "put it in quotes" : nil)
      }
      labels[name] = string
    }
    return labels
  }

  /// Puts what an inner reader kept in the place of what was written.
  mutating func keep(_ key: String, _ inner: FieldReader) {
    kept[key] = .object(inner.kept)
    warnings += inner.warnings
  }

  /// Keeps another value than what was written; nil drops it.
  mutating func keep(_ key: String, _ value: JSONValue?) { kept[key] = value }

  /// Members that are kept and do nothing on a single host.
  mutating func inert(_ keys: [String]) -> [String: JSONValue] {
    var found: [String: JSONValue] = [:]
    for key in keys {
      guard let value = value(key) else { continue }
      found[key] = value
      warnings.append("\(field(key)) is kept, but has no effect here")
    }
    return found
  }

  /// Before anything is read: a mistyped key is told by its name and not by what is missing for it. Does nothing where
  /// unknown fields are no error, and with nil.
  func refuseUnknown(besides known: [String]?, _ validation: Validation) throws(Fault) {
    guard let known, validation == .strict, let key = unread.first(where: { !known.contains($0) }) else { return }
    throw unknown(key, among: known)
  }

  /// What is left is unknown.
  mutating func finish(_ validation: Validation) throws(Fault) {
    for key in unread {
      switch validation {
      case .strict: throw unknown(key, among: known)
      case .warn: warnings.append(unknown(key, among: known).message)
      case .ignore: break
      }
    }
    rest = [:]
  }

  private func unknown(_ key: String, among known: [String]) -> Fault {
    let nearest = nearestName(to: key, among: known)
    let message =
      "unknown field \(field(ResourceName.printable(key)))" + (nearest.map { "; did you mean \($0)?" } ?? "")
    guard nearest == nil else {
      return Fault(.invalid, message, hint: isDocument ? "--validate=warn drops unknown fields" : nil)
    }
    return Fault(.invalid, message, hint: "known here: \(known.sorted().joined(separator: ", "))")
  }
}

extension JSONValue {
  var typeName: String {
    switch self {
    case .null: "null"
    case .bool: "a boolean"
    case .int, .double: "a number"
    case .string: "a string"
    case .array: "a list"
    case .object: "an object"
    }
  }

  var isScalar: Bool { scalarText != nil }

  var scalarText: String? {
    switch self {
    case .bool(let value): String(value)
    case .int(let value): String(value)
    case .double(let value): String(value)
    case .string(let value): value
    case .null, .array, .object: nil
    }
  }

  /// For a message: the value itself where it is short.
  var shown: String {
    if let string { return "\"\(ResourceName.printable(string))\"" }
    return scalarText ?? typeName
  }
}
