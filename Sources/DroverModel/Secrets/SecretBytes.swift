import Glibc

/// Key material on its way to a stage. The memory is overwritten when the last reference goes; there is no
/// description, and it is never encoded.
public final class SecretBytes: Sendable {
  // Written only by `init(count:fill:)` before anybody else sees it, and by `deinit`.
  private nonisolated(unsafe) let storage: UnsafeMutableRawBufferPointer

  /// Copies them; wiping the original is the caller's.
  public convenience init(copying bytes: UnsafeRawBufferPointer) {
    self.init(count: bytes.count) { $0.copyMemory(from: bytes) }
  }

  /// Copies the text's UTF-8. The text itself stays where it is until its memory is used again.
  public convenience init(_ text: String) {
    var text = text
    self.init(count: text.utf8.count) { storage in
      text.withUTF8 { storage.copyMemory(from: UnsafeRawBufferPointer($0)) }
    }
  }

  /// Room for `count` bytes, which `fill` must write.
  public init<E: Error>(count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void) throws(E) {
    storage = .allocate(byteCount: count, alignment: 16)
    storage.initializeMemory(as: UInt8.self, repeating: 0)
    try fill(storage)
  }

  deinit {
    if let base = storage.baseAddress { explicit_bzero(base, storage.count) }
    storage.deallocate()
  }

  public var count: Int { storage.count }
  public var isEmpty: Bool { storage.isEmpty }

  /// The pointer is valid during the call only.
  public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try body(UnsafeRawBufferPointer(storage))
  }
}

extension SecretBytes: Hashable {
  /// Takes as long for every two values of one length, wherever they differ.
  public static func == (a: SecretBytes, b: SecretBytes) -> Bool {
    guard a.count == b.count else { return false }
    return a.withBytes { a in
      b.withBytes { b in zip(a, b).reduce(UInt8(0)) { $0 | ($1.0 ^ $1.1) } == 0 }
    }
  }

  /// Only the length: a hash of the bytes would tell about them.
  public func hash(into hasher: inout Hasher) { hasher.combine(count) }
}
