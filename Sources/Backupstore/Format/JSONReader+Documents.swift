extension JSONReader {
  /// An object of strings; a value that is `null` is empty.
  mutating func map() throws(Failure) -> [String: String] {
    var map: [String: String] = [:]
    try object { (reader, key) throws(JSONReader.Failure) in
      let isNull = reader.null()
      map[key.text] = isNull ? "" : try reader.string()
    }
    return map
  }

  /// A list of blocks, ascending by offset whatever order they have in the document.
  mutating func blocks() throws(Failure) -> [BlockEntry] {
    var blocks: [BlockEntry] = []
    var isSorted = true
    try array { (reader) throws(JSONReader.Failure) in
      let entry = try reader.block()
      if let last = blocks.last, last.offset >= entry.offset { isSorted = false }
      blocks.append(entry)
    }
    if !isSorted { blocks.sort { $0.offset < $1.offset } }
    return blocks
  }

  private mutating func block() throws(Failure) -> BlockEntry {
    var offset: UInt64?
    var name: BlockName?
    try object { (reader, key) throws(JSONReader.Failure) in
      if key.matches("Offset") {
        offset = try reader.unsigned()
      } else if key.matches("BlockChecksum") {
        name = BlockName(digits: try reader.rawString())
        if name == nil { throw reader.failure("no 64 lower-case hexadecimal digits in a block's checksum") }
      } else {
        try reader.skip()
      }
    }
    guard let offset, let name else { throw failure("a block without offset or checksum") }
    return BlockEntry(offset: offset, name: name)
  }

  /// A string whose content is a JSON string itself. A plain one is taken as well, which Longhorn would refuse.
  mutating func doublyQuoted() throws(Failure) -> String {
    let outer = try string()
    guard outer.first == "\"" else { return outer }
    let inner = Array(outer.utf8).withUnsafeBytes { bytes in
      Result { () throws(Failure) in
        var reader = JSONReader(bytes)
        return try reader.string()
      }
    }
    guard let value = try? inner.get() else { throw failure("no string within a string") }
    return value
  }
}
