private import COpenSSL

/// SHA-256, and HMAC over it.
public enum SHA256 {
  /// Bytes of a digest.
  public static let length = 32

  /// Stops the process if libcrypto was built without SHA-256.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
      guard unsafe EVP_Digest(bytes.baseAddress, bytes.count, buffer.baseAddress, nil, EVP_sha256(), nil) == 1 else {
        fatalError("libcrypto does not offer SHA-256")
      }
      count = length
    }
  }

  /// The code of `bytes` under `key`, which may have any length.
  public static func authenticationCode(_ bytes: UnsafeRawBufferPointer, key: UnsafeRawBufferPointer) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
      // A null key would be taken for "the key of the last call".
      let empty: UInt8 = 0
      let made = unsafe withUnsafePointer(to: empty) { empty in
        unsafe HMAC(
          EVP_sha256(), key.baseAddress ?? UnsafeRawPointer(empty), Int32(key.count),
          bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count, buffer.baseAddress, nil)
      }
      guard unsafe made != nil else { fatalError("libcrypto does not offer HMAC") }
      count = length
    }
  }
}
