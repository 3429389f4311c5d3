import Glibc

/// Puts a string into a field of fixed length: cut at the border of a character so that it fits, always ending in NUL.
/// A NUL inside the string ends it.
func put(_ string: String, into field: UnsafeMutableRawBufferPointer) {
  guard field.count > 0 else { return }
  field.initializeMemory(as: UInt8.self, repeating: 0)
  var used = 0
  for character in string.unicodeScalars {
    let bytes = UTF8.encode(character)!
    guard character != "\0", used + bytes.count < field.count else { return }
    for byte in bytes {
      field[used] = byte
      used += 1
    }
  }
}

/// The string in a field of fixed length, which need not end in NUL.
func text(in field: UnsafeRawBufferPointer) -> String {
  String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
}
