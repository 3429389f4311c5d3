private import COpenSSL

/// SHA-512 over bytes that come piece by piece. Owned by one caller; not to be used by two threads at once.
@safe public struct SHA512: ~Copyable {
  /// Bytes of a whole digest.
  public static let length = 64

  private let context: OpaquePointer

  /// Stops the process if libcrypto has no memory left or was built without SHA-512.
  public init() {
    let made = unsafe EVP_MD_CTX_new()
    guard let made = unsafe made, unsafe EVP_DigestInit_ex(made, EVP_sha512(), nil) == 1 else {
      fatalError("libcrypto does not offer SHA-512")
    }
    unsafe context = made
  }

  private init(copying other: OpaquePointer) {
    let made = unsafe EVP_MD_CTX_new()
    guard let made = unsafe made, unsafe EVP_MD_CTX_copy_ex(made, other) == 1 else {
      fatalError("libcrypto can't copy the state of SHA-512")
    }
    unsafe context = made
  }

  deinit { unsafe EVP_MD_CTX_free(context) }

  /// Hashes `bytes` directly where they lie; any length, also none.
  public mutating func update(_ bytes: UnsafeRawBufferPointer) {
    guard unsafe EVP_DigestUpdate(context, bytes.baseAddress, bytes.count) == 1 else {
      fatalError("libcrypto failed to hash")
    }
  }

  /// A second hash that goes on from the same state.
  public func copyState() -> SHA512 { unsafe SHA512(copying: context) }

  /// The 64 bytes of the digest.
  public consuming func finish() -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: SHA512.length) { buffer, count in
      guard unsafe EVP_DigestFinal_ex(context, buffer.baseAddress, nil) == 1 else {
        fatalError("libcrypto failed to finish a hash")
      }
      count = SHA512.length
    }
  }

  /// The digest of `bytes` in one call.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: SHA512.length) { buffer, count in
      unsafe digest(bytes, into: UnsafeMutableRawBufferPointer(buffer))
      count = SHA512.length
    }
  }

  static func digest(_ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
    precondition(output.count >= SHA512.length)
    guard unsafe EVP_Digest(bytes.baseAddress, bytes.count, output.baseAddress, nil, EVP_sha512(), nil) == 1 else {
      fatalError("libcrypto failed to hash")
    }
  }
}
