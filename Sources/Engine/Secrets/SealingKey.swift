import DroverModel
import OpenSSL

/// Encrypts the values of Secrets for the catalog: AES-256-GCM, each value with a nonce of its own. A value opens only
/// at the place that it was sealed for: namespace, name and key are its associated data.
struct SealingKey: Sendable {
  /// `AES256GCM.keyLength` bytes.
  let bytes: SecretBytes

  /// Tells keys apart, and nothing about them: the start of a SHA-512.
  var identifier: String {
    bytes.withBytes { key in
      var hash = SHA512()
      Array("drover sealing key 1".utf8).withUnsafeBytes { hash.update($0) }
      hash.update(key)
      return hexadecimal(hash.finish().prefix(8))
    }
  }

  func seal(_ value: SecretBytes, _ key: String, of secret: SecretReference) -> SealedValue {
    var random = SystemRandomNumberGenerator()
    let nonce = (0..<AES256GCM.nonceLength).map { _ in UInt8.random(in: 0...255, using: &random) }
    var sealed = [UInt8](repeating: 0, count: value.count + AES256GCM.tagLength)
    bytes.withBytes { sealing in
      value.withBytes { plain in
        nonce.withUnsafeBytes { nonce in
          Self.place(of: key, in: secret).withUnsafeBytes { place in
            sealed.withUnsafeMutableBytes {
              AES256GCM.seal(plain, key: sealing, nonce: nonce, associated: place, into: $0)
            }
          }
        }
      }
    }
    return SealedValue(key: key, sealedWith: identifier, bytes: [1] + nonce + sealed)
  }

  /// Nil where the value was changed, or sealed for another place.
  func open(_ value: SealedValue, of secret: SecretReference) -> SecretBytes? {
    let head = 1 + AES256GCM.nonceLength
    guard value.bytes.count >= head + AES256GCM.tagLength, value.bytes[0] == 1 else { return nil }
    var isGenuine = false
    let plain = SecretBytes(count: value.bytes.count - head - AES256GCM.tagLength) { output in
      bytes.withBytes { sealing in
        value.bytes.withUnsafeBytes { all in
          Self.place(of: value.key, in: secret).withUnsafeBytes { place in
            isGenuine = AES256GCM.open(
              UnsafeRawBufferPointer(rebasing: all[head...]), key: sealing,
              nonce: UnsafeRawBufferPointer(rebasing: all[1..<head]), associated: place, into: output)
          }
        }
      }
    }
    return isGenuine ? plain : nil
  }

  /// No part can hold a zero, so no two places are written alike.
  private static func place(of key: String, in secret: SecretReference) -> [UInt8] {
    Array("drover secret 1\0\(secret.namespace)\0\(secret.name)\0\(key)".utf8)
  }
}
