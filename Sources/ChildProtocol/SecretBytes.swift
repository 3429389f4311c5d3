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

  /// Room for `count` bytes, which `fill` must write.
  init<E: Error>(count: Int, fill: (UnsafeMutableRawBufferPointer) throws(E) -> Void) throws(E) {
    storage = .allocate(byteCount: count, alignment: 16)
    storage.initializeMemory(as: UInt8.self, repeating: 0)
    try fill(storage)
  }

  deinit {
    if let base = storage.baseAddress { explicit_bzero(base, storage.count) }
    storage.deallocate()
  }

  public var count: Int { storage.count }

  /// The pointer is valid during the call only.
  public func withBytes<R, E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> R) throws(E) -> R {
    try body(UnsafeRawBufferPointer(storage))
  }
}
