private import COpenSSL

public enum SHA256 {
  /// The 32 bytes of the digest of `bytes`.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: 32) { buffer, count in
      guard unsafe EVP_Digest(bytes.baseAddress, bytes.count, buffer.baseAddress, nil, EVP_sha256(), nil) == 1 else {
        fatalError("libcrypto failed to hash")
      }
      count = 32
    }
  }
}
