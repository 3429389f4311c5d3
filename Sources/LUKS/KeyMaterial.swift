private import CCryptsetup

/// Bytes of a passphrase or of a volume key, in memory that is locked where the system allows it and overwritten when
/// the last reference goes. They never change once there are two.
@safe public final class KeyMaterial: @unchecked Sendable {
  // Sendable: only this module writes the bytes, before it hands the object out.
  private let memory: UnsafeMutableRawBufferPointer

  /// All zero. Stops the process if there is no memory left.
  init(count: Int) {
    guard let base = unsafe crypt_safe_alloc(max(1, count)) else { fatalError("no memory for a key") }
    unsafe memory = UnsafeMutableRawBufferPointer(start: base, count: count)
  }

  /// Exactly these bytes, which may be any.
  public convenience init(copying bytes: UnsafeRawBufferPointer) {
    self.init(count: bytes.count)
    unsafe memory.copyMemory(from: bytes)
  }

  /// Of the kernel's generator.
  static func random(count: Int) -> KeyMaterial {
    let key = KeyMaterial(count: count)
    var generator = SystemRandomNumberGenerator()
    unsafe key.withMutableBytes { bytes in
      for index in bytes.indices { unsafe bytes[index] = UInt8.random(in: .min ... .max, using: &generator) }
    }
    return key
  }

  deinit { unsafe crypt_safe_free(memory.baseAddress) }

  public func withBytes<R: ~Copyable, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try unsafe body(UnsafeRawBufferPointer(memory))
  }

  func withMutableBytes<R, E: Error>(_ body: (UnsafeMutableRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try unsafe body(memory)
  }
}
