/// Walks through a small XML document from a server that may be hostile: elements and their text.
///
/// Attributes are skipped, document types and processing instructions behind the first are refused, entities are the five of
/// XML and numbers. Depth is limited, and nothing is built but what the caller keeps.
struct XMLScanner {
  enum Event: Equatable {
    case open(String)
    case text(String)
    case close(String)
  }

  struct Malformed: Error, Equatable {
    var reason: String
    init(_ reason: String) { self.reason = reason }
  }

  private let bytes: [UInt8]
  private var position = 0
  private var stack: [String] = []
  private var sawRoot = false
  private var pendingClose: String?

  private static let deepest = 16

  init(_ bytes: [UInt8]) {
    self.bytes = bytes
    if bytes.starts(with: [0xef, 0xbb, 0xbf]) { position = 3 }
  }

  /// Nil once the root element was closed; then nothing but blanks may follow. Each element's name comes without a
  /// namespace's prefix.
  mutating func next() throws(Malformed) -> Event? {
    if let name = pendingClose {
      pendingClose = nil
      return try close(name)
    }
    while true {
      guard position < bytes.count else {
        guard sawRoot, stack.isEmpty else { throw Malformed("it ends in the middle") }
        return nil
      }
      guard bytes[position] == UInt8(ascii: "<") else {
        let text = try text()
        if !stack.isEmpty { return .text(text) }
        guard text.utf8.allSatisfy(Self.isBlank) else { throw Malformed("text stands outside of the root element") }
        continue
      }
      position += 1
      switch position < bytes.count ? bytes[position] : 0 {
      case UInt8(ascii: "?"):
        guard !sawRoot else { throw Malformed("a processing instruction stands in the middle") }
        try skip(past: "?>")
      case UInt8(ascii: "!"):
        guard bytes[position...].starts(with: "!--".utf8) else { throw Malformed("it holds a declaration") }
        try skip(past: "-->")
      case UInt8(ascii: "/"):
        position += 1
        let name = try name()
        skipBlanks()
        try expect(UInt8(ascii: ">"))
        return try close(name)
      default: return try open()
      }
    }
  }

  private mutating func open() throws(Malformed) -> Event {
    let name = try name()
    guard stack.count < Self.deepest else { throw Malformed("it is nested too deeply") }
    guard !sawRoot || !stack.isEmpty else { throw Malformed("it has two root elements") }
    sawRoot = true
    var quote: UInt8?
    while position < bytes.count {
      let byte = bytes[position]
      position += 1
      if let open = quote {
        if byte == open { quote = nil }
      } else if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "'") {
        quote = byte
      } else if byte == UInt8(ascii: "<") {
        throw Malformed("a tag stands in a tag")
      } else if byte == UInt8(ascii: ">") {
        stack.append(name)
        if bytes[position - 2] == UInt8(ascii: "/") { pendingClose = name }
        return .open(name)
      }
    }
    throw Malformed("it ends in a tag")
  }

  private mutating func close(_ name: String) throws(Malformed) -> Event {
    guard stack.popLast() == name else { throw Malformed("element \(name.prefix(40)) is closed but was not opened") }
    return .close(name)
  }

  private mutating func name() throws(Malformed) -> String {
    let start = position
    while position < bytes.count, !Self.isBlank(bytes[position]), !"/><=\"'&".utf8.contains(bytes[position]) {
      position += 1
    }
    let whole = bytes[start..<position]
    let local = whole.lastIndex(of: UInt8(ascii: ":")).map { whole[($0 + 1)...] } ?? whole
    guard !local.isEmpty, local.count <= 100, let name = String(validating: local, as: UTF8.self) else {
      throw Malformed("an element has no valid name")
    }
    return name
  }

  private mutating func text() throws(Malformed) -> String {
    var output: [UInt8] = []
    while position < bytes.count, bytes[position] != UInt8(ascii: "<") {
      if bytes[position] == UInt8(ascii: "&") {
        output += try entity()
      } else {
        output.append(bytes[position])
        position += 1
      }
    }
    guard let text = String(validating: output, as: UTF8.self) else { throw Malformed("it holds what is no UTF-8") }
    return text
  }

  private mutating func entity() throws(Malformed) -> [UInt8] {
    guard let end = bytes[position...].prefix(12).firstIndex(of: UInt8(ascii: ";")) else {
      throw Malformed("an entity does not end")
    }
    let name = String(decoding: bytes[(position + 1)..<end], as: UTF8.self)
    position = end + 1
    switch name {
    case "lt": return [UInt8(ascii: "<")]
    case "gt": return [UInt8(ascii: ">")]
    case "amp": return [UInt8(ascii: "&")]
    case "quot": return [UInt8(ascii: "\"")]
    case "apos": return [UInt8(ascii: "'")]
    default: break
    }
    let code =
      name.hasPrefix("#x") || name.hasPrefix("#X")
      ? UInt32(name.dropFirst(2), radix: 16) : name.hasPrefix("#") ? UInt32(name.dropFirst()) : nil
    guard let code, code > 0, let scalar = Unicode.Scalar(code) else { throw Malformed("it holds an unknown entity") }
    return Array(String(Character(scalar)).utf8)
  }

  private mutating func skip(past end: String) throws(Malformed) {
    let end = Array(end.utf8)
    while position + end.count <= bytes.count {
      if bytes[position..<(position + end.count)].elementsEqual(end) {
        position += end.count
        return
      }
      position += 1
    }
    throw Malformed("it ends in the middle")
  }

  private mutating func skipBlanks() {
    while position < bytes.count, Self.isBlank(bytes[position]) { position += 1 }
  }

  private mutating func expect(_ byte: UInt8) throws(Malformed) {
    guard position < bytes.count, bytes[position] == byte else { throw Malformed("a tag is not closed") }
    position += 1
  }

  private static func isBlank(_ byte: UInt8) -> Bool { byte == 32 || byte == 9 || byte == 10 || byte == 13 }
}
