import Glibc

extension String {
  /// A plugin's string, at most `limit` bytes of it; what is no UTF-8 is replaced. Nil for NULL.
  init?(plugin pointer: UnsafePointer<CChar>?, limit: Int) {
    guard let pointer else { return nil }
    let bytes = UnsafeRawBufferPointer(start: pointer, count: strnlen(pointer, limit))
    self = String(decoding: bytes, as: UTF8.self)
  }

  /// A fixed field of a struct that a plugin has filled, up to its NUL or its end.
  init(field: UnsafeRawBufferPointer) {
    self = String(decoding: field.prefix { $0 != 0 }, as: UTF8.self)
  }
}
