import DroverModel

/// A JSON value in the bytes that C makes Lua tables of. Source of the form: CLua.h.
enum FlatDocument {
  static func bytes(of value: JSONValue) -> [UInt8] {
    var bytes: [UInt8] = []
    write(value, &bytes)
    return bytes
  }

  /// Nil where a string is not UTF-8.
  static func value(of bytes: [UInt8]) -> JSONValue? {
    var rest = bytes[...]
    return read(&rest)
  }

  private static func write(_ value: JSONValue, _ bytes: inout [UInt8]) {
    switch value {
    case .null: bytes.append(UInt8(ascii: "n"))
    case .bool(let value): bytes.append(UInt8(ascii: value ? "t" : "f"))
    case .int(let value):
      bytes.append(UInt8(ascii: "i"))
      write(UInt64(bitPattern: value), &bytes)
    case .double(let value):
      bytes.append(UInt8(ascii: "d"))
      write(value.bitPattern, &bytes)
    case .string(let value):
      bytes.append(UInt8(ascii: "s"))
      write(value, &bytes)
    case .array(let elements):
      bytes.append(UInt8(ascii: "a"))
      write(UInt32(elements.count), &bytes)
      for element in elements { write(element, &bytes) }
    case .object(let members):
      bytes.append(UInt8(ascii: "o"))
      write(UInt32(members.count), &bytes)
      // In one order, so that the same value takes the same memory and the same steps.
      for (key, value) in members.sorted(by: { $0.key < $1.key }) {
        write(key, &bytes)
        write(value, &bytes)
      }
    }
  }

  private static func write(_ text: String, _ bytes: inout [UInt8]) {
    write(UInt32(text.utf8.count), &bytes)
    bytes.append(contentsOf: text.utf8)
  }

  private static func write<Number: FixedWidthInteger>(_ number: Number, _ bytes: inout [UInt8]) {
    for shift in stride(from: 0, to: Number.bitWidth, by: 8) {
      bytes.append(UInt8(truncatingIfNeeded: number >> Number(shift)))
    }
  }

  private static func read(_ rest: inout ArraySlice<UInt8>) -> JSONValue? {
    switch rest.popFirst() {
    case UInt8(ascii: "n"): return .null
    case UInt8(ascii: "f"): return .bool(false)
    case UInt8(ascii: "t"): return .bool(true)
    case UInt8(ascii: "i"): return .int(Int64(bitPattern: number(&rest)))
    case UInt8(ascii: "d"): return .double(Double(bitPattern: number(&rest)))
    case UInt8(ascii: "s"): return text(&rest).map(JSONValue.string)
    case UInt8(ascii: "a"):
      var elements: [JSONValue] = []
      for _ in 0..<(number(&rest) as UInt32) {
        guard let element = read(&rest) else { return nil }
        elements.append(element)
      }
      return .array(elements)
    case UInt8(ascii: "o"):
      var members: [String: JSONValue] = [:]
      for _ in 0..<(number(&rest) as UInt32) {
        guard let key = text(&rest), let value = read(&rest) else { return nil }
        members[key] = value
      }
      return .object(members)
    default: return nil
    }
  }

  private static func text(_ rest: inout ArraySlice<UInt8>) -> String? {
    let count = Int(number(&rest) as UInt32)
    defer { rest = rest.dropFirst(count) }
    return String(validating: rest.prefix(count), as: UTF8.self)
  }

  private static func number<Number: FixedWidthInteger>(_ rest: inout ArraySlice<UInt8>) -> Number {
    let bytes = rest.prefix(Number.bitWidth / 8)
    rest = rest.dropFirst(bytes.count)
    return bytes.reversed().reduce(0) { $0 << 8 | Number($1) }
  }
}
