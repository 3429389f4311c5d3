import Glibc

extension String {
  /// A plugin's string, at most `limit` bytes of it; what is no UTF-8 is replaced, and so are control characters, which
  /// a terminal would obey. Nil for NULL.
  init?(plugin pointer: UnsafePointer<CChar>?, limit: Int) {
    guard let pointer else { return nil }
    self.init(foreign: UnsafeRawBufferPointer(start: pointer, count: strnlen(pointer, limit)))
  }

  /// A fixed field of a struct that a plugin has filled, up to its NUL or its end.
  init(field: UnsafeRawBufferPointer) {
    self.init(foreign: UnsafeRawBufferPointer(rebasing: field.prefix { $0 != 0 }))
  }

  private init(foreign bytes: UnsafeRawBufferPointer) {
    let text = String(decoding: bytes, as: UTF8.self)
    func isControl(_ scalar: Unicode.Scalar) -> Bool {
      scalar.properties.generalCategory == .control && scalar != "\n" && scalar != "\t"
    }
    guard text.unicodeScalars.contains(where: isControl) else {
      self = text
      return
    }
    self = String(String.UnicodeScalarView(text.unicodeScalars.map { isControl($0) ? "\u{FFFD}" : $0 }))
  }
}
