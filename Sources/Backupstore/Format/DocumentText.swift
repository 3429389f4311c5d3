/// Puts one document of a store together, a key after the other, in the bytes that Go's encoder would make of it.
/// Source: longhorn-format, 3.1.
struct DocumentText {
  private var output: [UInt8] = []

  /// - Parameter blocks: How many there will be, so that the room for them is made once.
  init(blocks: Int = 0) { output.reserveCapacity(1024 + blocks * 112) }

  mutating func string(_ name: StaticString, _ value: String) {
    key(name)
    JSONText.append(value, to: &output)
  }

  /// A string whose content is a JSON string itself.
  mutating func doublyQuoted(_ name: StaticString, _ value: String) {
    var inner: [UInt8] = []
    JSONText.append(value, to: &inner)
    string(name, String(decoding: inner, as: UTF8.self))
  }

  /// As a string of decimal digits.
  mutating func number(_ name: StaticString, _ value: UInt64) {
    key(name)
    output.append(UInt8(ascii: "\""))
    JSONText.append(value, to: &output)
    output.append(UInt8(ascii: "\""))
  }

  mutating func literal(_ name: StaticString, _ json: StaticString) {
    key(name)
    append(json)
  }

  mutating func object(_ name: StaticString, _ value: consuming DocumentText) {
    key(name)
    output += value.finish()
  }

  /// With its keys sorted; nil is `null`.
  mutating func map(_ name: StaticString, _ value: [String: String]?) {
    key(name)
    guard let value else { return append("null") }
    let sorted = value.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    append("{")
    for (index, pair) in sorted.enumerated() {
      if index > 0 { append(",") }
      JSONText.append(pair.key, to: &output)
      append(":")
      JSONText.append(pair.value, to: &output)
    }
    append("}")
  }

  /// Left out where there are none.
  mutating func blocks(_ blocks: [BlockEntry]) {
    guard !blocks.isEmpty else { return }
    key("Blocks")
    append("[")
    for (index, block) in blocks.enumerated() {
      append(index > 0 ? #",{"Offset":"# : #"{"Offset":"#)
      JSONText.append(block.offset, to: &output)
      append(#","BlockChecksum":""#)
      block.name.append(to: &output)
      append("\"}")
    }
    append("]")
  }

  /// The whole document.
  consuming func finish() -> [UInt8] {
    if output.isEmpty { append("{") }
    append("}")
    return output
  }

  private mutating func key(_ name: StaticString) {
    append(output.isEmpty ? "{\"" : ",\"")
    append(name)
    append("\":")
  }

  private mutating func append(_ text: StaticString) {
    output.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }
}
