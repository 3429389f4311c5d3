import DroverModel
import Glibc

/// A stage's own copy of a secret, which can be overwritten when that stage is closed.
final class SecretCopy {
  private let storage: UnsafeMutableBufferPointer<UInt8>

  init(_ secret: SecretBytes) {
    storage = .allocate(capacity: secret.count)
    secret.withBytes { bytes in _ = storage.initialize(fromContentsOf: bytes) }
  }

  deinit {
    wipe()
    storage.deallocate()
  }

  var bytes: UnsafeBufferPointer<UInt8> { UnsafeBufferPointer(storage) }

  func wipe() {
    if let base = storage.baseAddress { explicit_bzero(base, storage.count) }
  }
}
