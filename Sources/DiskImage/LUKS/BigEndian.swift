/// Numbers and texts at places of a header whose length was checked before.
struct BigEndian {
  let bytes: ArraySlice<UInt8>
  init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }
  init(_ bytes: [UInt8]) { self.bytes = bytes[...] }

  subscript(_ at: Int, _ length: Int) -> ArraySlice<UInt8> {
    bytes[(bytes.startIndex + at)..<(bytes.startIndex + at + length)]
  }

  /// At most 8 bytes.
  func number(_ at: Int, _ length: Int) -> UInt64 { self[at, length].reduce(0) { $0 << 8 | UInt64($1) } }

  /// Up to the first NUL; what is not printable ASCII becomes a question mark.
  func text(_ at: Int, _ length: Int) -> String {
    String(decoding: self[at, length].prefix { $0 != 0 }.map { (0x20..<0x7F).contains($0) ? $0 : 0x3F }, as: UTF8.self)
  }
}
