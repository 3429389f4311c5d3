/// One value of a Secret as the catalog has it: encrypted and bound to its place.
struct SealedValue: Sendable, Hashable {
  /// Name of the value in its Secret: `CRYPTO_KEY_VALUE`.
  var key: String
  /// Which sealing key it needs; see `SealingKey.identifier`.
  var sealedWith: String
  /// Version 1: a byte 1, a nonce of 12 bytes, ciphertext, a tag of 16 bytes.
  var bytes: [UInt8]
}
