private import COpenSSL

/// AES-256-GCM of small values that lie in memory. Source: NIST SP 800-38D.
///
/// A nonce must never come twice with one key. Random ones of 12 bytes are safe for some 2^32 values.
public enum AES256GCM {
  public static let keyLength = 32
  public static let nonceLength = 12
  public static let tagLength = 16

  /// Writes ciphertext and tag to `output`, which has room for `plain.count + tagLength` bytes.
  ///
  /// Stops the process if libcrypto has no memory left or was built without the cipher.
  /// - Parameters:
  ///   - key: `keyLength` bytes.
  ///   - nonce: `nonceLength` bytes.
  ///   - associated: Is not kept, and must be the same when the value is opened.
  public static func seal(
    _ plain: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, nonce: UnsafeRawBufferPointer,
    associated: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) {
    precondition(key.count == keyLength && nonce.count == nonceLength && output.count == plain.count + tagLength)
    let context = Context()
    let text = unsafe UnsafeMutableRawBufferPointer(rebasing: output[..<plain.count])
    let tag = unsafe UnsafeMutableRawBufferPointer(rebasing: output[plain.count...])
    unsafe context.start(key: key, nonce: nonce, encrypts: true)
    guard unsafe context.update(nil, associated), unsafe context.update(text, plain), context.finish(),
      unsafe EVP_CIPHER_CTX_ctrl(context.pointer, EVP_CTRL_AEAD_GET_TAG, Int32(tagLength), tag.baseAddress) == 1
    else { fatalError("libcrypto failed to encrypt") }
  }

  /// Writes the plain bytes to `output`, which has room for `sealed.count - tagLength` of them. False, with zeros in
  /// `output`, where key, nonce, associated data or a single bit of `sealed` is not what it was.
  public static func open(
    _ sealed: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer, nonce: UnsafeRawBufferPointer,
    associated: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer
  ) -> Bool {
    guard sealed.count >= tagLength else { return false }
    precondition(
      key.count == keyLength && nonce.count == nonceLength && output.count == sealed.count - tagLength)
    let context = Context()
    let text = unsafe UnsafeRawBufferPointer(rebasing: sealed[..<output.count])
    // libcrypto takes a pointer to change, but only reads the tag.
    let tag = unsafe UnsafeMutableRawPointer(mutating: sealed.baseAddress! + output.count)
    unsafe context.start(key: key, nonce: nonce, encrypts: false)
    guard unsafe context.update(nil, associated), unsafe context.update(output, text),
      unsafe EVP_CIPHER_CTX_ctrl(context.pointer, EVP_CTRL_AEAD_SET_TAG, Int32(tagLength), tag) == 1,
      context.finish()
    else {
      if let base = output.baseAddress { unsafe OPENSSL_cleanse(base, output.count) }
      return false
    }
    return true
  }

  @safe private final class Context {
    let pointer: OpaquePointer

    init() {
      guard let made = unsafe EVP_CIPHER_CTX_new() else { fatalError("libcrypto has no memory left") }
      unsafe pointer = made
    }

    deinit { unsafe EVP_CIPHER_CTX_free(pointer) }

    func start(key: UnsafeRawBufferPointer, nonce: UnsafeRawBufferPointer, encrypts: Bool) {
      let key = unsafe key.assumingMemoryBound(to: UInt8.self).baseAddress
      let nonce = unsafe nonce.assumingMemoryBound(to: UInt8.self).baseAddress
      guard unsafe EVP_CipherInit_ex(pointer, EVP_aes_256_gcm(), nil, key, nonce, encrypts ? 1 : 0) == 1 else {
        fatalError("libcrypto does not offer AES-256-GCM")
      }
    }

    /// Without an output the bytes are associated data.
    func update(_ output: UnsafeMutableRawBufferPointer?, _ input: UnsafeRawBufferPointer) -> Bool {
      guard input.count > 0 else { return true }
      var written: Int32 = 0
      return unsafe EVP_CipherUpdate(
        pointer, output?.assumingMemoryBound(to: UInt8.self).baseAddress, &written,
        input.assumingMemoryBound(to: UInt8.self).baseAddress, Int32(input.count)) == 1
    }

    func finish() -> Bool {
      var rest: (UInt64, UInt64) = (0, 0)
      var written: Int32 = 0
      return unsafe withUnsafeMutableBytes(of: &rest) { rest in
        unsafe EVP_CipherFinal_ex(pointer, rest.assumingMemoryBound(to: UInt8.self).baseAddress, &written) == 1
      }
    }
  }
}
