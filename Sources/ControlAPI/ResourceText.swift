import DroverModel

/// The JSON of resources, byte for byte what `APIJSON` makes of them, in a small part of its time: a list of some thousand
/// objects is what a store of that many backups is read by.
struct ResourceText {
  private(set) var bytes: [UInt8] = []

  mutating func append(_ list: ResourceList) throws {
    put("{\"apiVersion\":")
    append(string: list.apiVersion)
    put(",\"items\":[")
    for (index, item) in list.items.enumerated() {
      if index > 0 { put(",") }
      try append(item)
    }
    put("],\"kind\":")
    append(string: list.kind)
    put("}")
  }

  private mutating func append(_ resource: Resource) throws {
    let metadata = resource.metadata
    var members: [String: JSONValue] = ["name": .string(metadata.name)]
    if let namespace = metadata.namespace { members["namespace"] = .string(namespace) }
    if let uid = metadata.uid { members["uid"] = .string(uid) }
    if let time = metadata.creationTimestamp { members["creationTimestamp"] = .string(time) }
    if let labels = metadata.labels { members["labels"] = .object(labels.mapValues { .string($0) }) }
    if let generation = metadata.generation { members["generation"] = .int(Int64(generation)) }
    put("{\"apiVersion\":")
    append(string: resource.apiVersion)
    put(",\"kind\":")
    append(string: resource.kind)
    put(",\"metadata\":")
    try append(members)
    put(",\"spec\":")
    try append(resource.spec)
    put(",\"status\":")
    try append(resource.status)
    put("}")
  }

  private mutating func append(_ members: [String: JSONValue]) throws {
    put("{")
    // As the encoder sorts keys.
    for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
      if index > 0 { put(",") }
      append(string: member.key)
      put(":")
      try append(member.value)
    }
    put("}")
  }

  mutating func append(_ value: JSONValue) throws {
    switch value {
    case .null: put("null")
    case .bool(let value): if value { put("true") } else { put("false") }
    case .int(let value): bytes.append(contentsOf: String(value).utf8)
    case .double(let value): bytes.append(contentsOf: try APIJSON.encode(value).utf8)
    case .string(let value): append(string: value)
    case .array(let values):
      put("[")
      for (index, value) in values.enumerated() {
        if index > 0 { put(",") }
        try append(value)
      }
      put("]")
    case .object(let members): try append(members)
    }
  }

  private mutating func put(_ text: StaticString) {
    bytes.append(contentsOf: UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount))
  }

  private mutating func append(string: String) {
    bytes.append(UInt8(ascii: "\""))
    var string = string
    string.withUTF8 { text in
      guard text.contains(where: { $0 < 32 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) else {
        return bytes.append(contentsOf: text)
      }
      for byte in text { append(escaping: byte) }
    }
    bytes.append(UInt8(ascii: "\""))
  }

  private mutating func append(escaping byte: UInt8) {
    switch byte {
    case UInt8(ascii: "\""): put("\\\"")
    case UInt8(ascii: "\\"): put("\\\\")
    case 8: put("\\b")
    case 9: put("\\t")
    case 10: put("\\n")
    case 12: put("\\f")
    case 13: put("\\r")
    case 0..<32:
      put("\\u00")
      for digit in [byte >> 4, byte & 15] {
        bytes.append(digit + (digit < 10 ? UInt8(ascii: "0") : UInt8(ascii: "a") - 10))
      }
    default: bytes.append(byte)
    }
  }
}

extension ResourceList {
  /// Its JSON as `APIJSON` writes it.
  public func encoded() throws -> [UInt8] {
    var text = ResourceText()
    try text.append(self)
    return text.bytes
  }
}
