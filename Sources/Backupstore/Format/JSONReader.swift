/// Reads one JSON value where it lies, as Go's decoder would: keys without regard to case, `null` for anything, the last
/// of two equal keys wins, what follows the value is ignored. Nothing is kept but what the caller takes.
struct JSONReader {
  /// Where and why the bytes are no JSON, or not what was wanted.
  struct Failure: Error {
    var offset: Int
    var reason: String
  }

  private let bytes: UnsafeBufferPointer<UInt8>
  private(set) var offset = 0
  private var depth = 0
  private static let deepest = 100

  init(_ bytes: UnsafeRawBufferPointer) { self.bytes = bytes.bindMemory(to: UInt8.self) }

  func failure(_ reason: String) -> Failure { Failure(offset: offset, reason: reason) }

  /// Calls `member` at the value of each key; it must read or skip that value.
  mutating func object(_ member: (inout JSONReader, JSONKey) throws(Failure) -> Void) throws(Failure) {
    try open("{")
    if take("}") { return close() }
    while true {
      let key = JSONKey(raw: try rawString())
      guard take(":") else { throw failure("no colon after a key") }
      try member(&self, key)
      if take("}") { return close() }
      guard take(",") else { throw failure("no comma or end in an object") }
    }
  }

  /// Calls `element` at each element; it must read or skip it.
  mutating func array(_ element: (inout JSONReader) throws(Failure) -> Void) throws(Failure) {
    try open("[")
    if take("]") { return close() }
    while true {
      try element(&self)
      if take("]") { return close() }
      guard take(",") else { throw failure("no comma or end in a list") }
    }
  }

  /// Takes a `null`, if one is next.
  mutating func null() -> Bool { (try? literal("null")) != nil }

  mutating func string() throws(Failure) -> String {
    let raw = try rawString()
    guard let text = JSONText.decoded(raw) else { throw failure("a bad escape in a string") }
    return text
  }

  /// The bytes between the quotes, escapes as they stand. Valid as long as the input.
  mutating func rawString() throws(Failure) -> UnsafeBufferPointer<UInt8> {
    guard take("\"") else { throw failure("no string where one is wanted") }
    let start = offset
    while offset < bytes.count {
      switch bytes[offset] {
      case UInt8(ascii: "\""):
        offset += 1
        return UnsafeBufferPointer(rebasing: bytes[start..<(offset - 1)])
      case UInt8(ascii: "\\"): offset += 2
      case 0..<0x20: throw failure("a control character in a string")
      default: offset += 1
      }
    }
    throw failure("a string without an end")
  }

  /// A whole number that is not negative, bare or as a string of digits.
  mutating func unsigned() throws(Failure) -> UInt64 {
    skipSpace()
    if offset < bytes.count, bytes[offset] == UInt8(ascii: "\"") {
      let text = try rawString()
      guard let value = Self.unsigned(text) else { throw failure("no whole number in a string") }
      return value
    }
    let start = offset
    while offset < bytes.count, Self.isNumberByte(bytes[offset]) { offset += 1 }
    guard let value = Self.unsigned(UnsafeBufferPointer(rebasing: bytes[start..<offset])) else {
      offset = start
      throw failure("no whole number where one is wanted")
    }
    return value
  }

  mutating func boolean() throws(Failure) -> Bool {
    if (try? literal("true")) != nil { return true }
    try literal("false")
    return false
  }

  /// Steps over any value.
  mutating func skip() throws(Failure) {
    skipSpace()
    guard offset < bytes.count else { throw failure("the end where a value is wanted") }
    switch bytes[offset] {
    case UInt8(ascii: "{"): try object { (reader, _) throws(Failure) in try reader.skip() }
    case UInt8(ascii: "["): try array { (reader) throws(Failure) in try reader.skip() }
    case UInt8(ascii: "\""): _ = try rawString()
    case UInt8(ascii: "t"): try literal("true")
    case UInt8(ascii: "f"): try literal("false")
    case UInt8(ascii: "n"): try literal("null")
    default:
      let start = offset
      while offset < bytes.count, Self.isNumberByte(bytes[offset]) { offset += 1 }
      if offset == start { throw failure("no value where one is wanted") }
    }
  }

  private mutating func open(_ bracket: Unicode.Scalar) throws(Failure) {
    guard take(bracket) else { throw failure("no \(bracket) where one is wanted") }
    depth += 1
    if depth > Self.deepest { throw failure("nested too deep") }
  }

  private mutating func close() { depth -= 1 }

  private mutating func take(_ character: Unicode.Scalar) -> Bool {
    skipSpace()
    guard offset < bytes.count, bytes[offset] == UInt8(ascii: character) else { return false }
    offset += 1
    return true
  }

  private mutating func literal(_ word: StaticString) throws(Failure) {
    skipSpace()
    let length = word.utf8CodeUnitCount
    guard bytes.count - offset >= length,
      bytes[offset..<(offset + length)].elementsEqual(
        UnsafeBufferPointer(start: word.utf8Start, count: length))
    else { throw failure("no \(word) where one is wanted") }
    offset += length
  }

  private mutating func skipSpace() {
    while offset < bytes.count {
      switch bytes[offset] {
      case 0x20, 0x09, 0x0a, 0x0d: offset += 1
      default: return
      }
    }
  }

  private static func isNumberByte(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
      UInt8(ascii: "e"), UInt8(ascii: "E"):
      true
    default: false
    }
  }

  private static func unsigned(_ digits: UnsafeBufferPointer<UInt8>) -> UInt64? {
    guard !digits.isEmpty else { return nil }
    var value: UInt64 = 0
    for digit in digits {
      guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(digit) else { return nil }
      let (product, over) = value.multipliedReportingOverflow(by: 10)
      let (sum, above) = product.addingReportingOverflow(UInt64(digit - UInt8(ascii: "0")))
      if over || above { return nil }
      value = sum
    }
    return value
  }
}

/// A key as it stands in the document.
struct JSONKey {
  private let raw: UnsafeBufferPointer<UInt8>
  private let decoded: [UInt8]?

  init(raw: UnsafeBufferPointer<UInt8>) {
    self.raw = raw
    decoded = raw.contains(UInt8(ascii: "\\")) ? JSONText.decoded(raw).map { Array($0.utf8) } : nil
  }

  /// Escapes resolved, as far as they are right.
  var text: String { decoded.map { String(decoding: $0, as: UTF8.self) } ?? String(decoding: raw, as: UTF8.self) }

  /// Compares without regard to the case of ASCII letters.
  func matches(_ name: StaticString) -> Bool {
    let name = UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
    return decoded?.elementsEqual(name, by: Self.sameLetter) ?? raw.elementsEqual(name, by: Self.sameLetter)
  }

  private static func sameLetter(_ left: UInt8, _ right: UInt8) -> Bool { lower(left) == lower(right) }
  private static func lower(_ byte: UInt8) -> UInt8 {
    (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
  }
}
