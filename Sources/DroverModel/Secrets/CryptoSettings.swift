/// How an image is encrypted, as the keys of its Secret say. Source: Longhorn's `types/crypto.go` in go-common-libs;
/// docs/encryption.md.
public struct CryptoSettings: Sendable, Hashable {
  /// `aes-xts-plain64`.
  public var cipher: String
  /// `sha256`.
  public var hash: String
  /// In bits; 256 with XTS means AES-128.
  public var keySize: Int64
  /// `argon2i`, `argon2id` or `pbkdf2`.
  public var pbkdf: String
  /// Of the key derivation; nil measures what takes about two seconds.
  public var forceIterations: Int64?
  /// Of the key derivation, in KiB; nil takes cryptsetup's choice.
  public var memoryKiB: Int64?

  /// Key of a Secret that holds the passphrase, its bytes exactly as they are.
  public static let passphraseKey = "CRYPTO_KEY_VALUE"
  /// Keys of a Secret that are no secrets.
  public static let settingKeys = [
    "CRYPTO_KEY_PROVIDER", "CRYPTO_KEY_CIPHER", "CRYPTO_KEY_HASH", "CRYPTO_KEY_SIZE", "CRYPTO_PBKDF",
    "CRYPTO_PBKDF_FORCE_ITERATIONS", "CRYPTO_PBKDF_MEMORY",
  ]

  /// Reads the values of `settingKeys`; what is absent or empty takes Longhorn's default. Throws `invalid`.
  public init(_ values: [String: String]) throws(Fault) {
    func value(_ key: String) -> String? { values[key].map(\.trimmed).flatMap { $0.isEmpty ? nil : $0 } }
    func number(_ key: String, _ range: ClosedRange<Int64>) throws(Fault) -> Int64? {
      guard let text = value(key) else { return nil }
      guard let number = Int64(text), range.contains(number) else {
        throw Fault(
          .invalid,
          "\(key) is \"\(ResourceName.printable(text))\"; it must be a number from \(range.lowerBound) to \(range.upperBound)",
          hint: "correct it in the Secret")
      }
      return number
    }
    if let provider = value("CRYPTO_KEY_PROVIDER"), provider != "secret" {
      throw Fault(
        .invalid, "unsupported key provider \(ResourceName.printable(provider)) for encryption",
        hint: "CRYPTO_KEY_PROVIDER of the Secret may only be secret")
    }
    cipher = value("CRYPTO_KEY_CIPHER") ?? "aes-xts-plain64"
    hash = value("CRYPTO_KEY_HASH") ?? "sha256"
    keySize = try number("CRYPTO_KEY_SIZE", 128...1024) ?? 256
    pbkdf = value("CRYPTO_PBKDF") ?? "argon2i"
    guard ["argon2i", "argon2id", "pbkdf2"].contains(pbkdf) else {
      throw Fault(
        .invalid, "CRYPTO_PBKDF is \"\(ResourceName.printable(pbkdf))\", which is not known",
        hint: "argon2i, argon2id or pbkdf2")
    }
    forceIterations = try number("CRYPTO_PBKDF_FORCE_ITERATIONS", 1...Int64(UInt32.max))
    memoryKiB = try number("CRYPTO_PBKDF_MEMORY", 1...Int64(UInt32.max))
  }

  /// Throws `invalid` where no key slot can be made so. The limits are cryptsetup's.
  public func checkKeySlot() throws(Fault) {
    let isArgon = pbkdf != "pbkdf2"
    if let forceIterations, forceIterations < (isArgon ? 4 : 1000) {
      throw Self.unusable(
        "CRYPTO_PBKDF_FORCE_ITERATIONS", forceIterations, "\(pbkdf) takes at least \(isArgon ? 4 : 1000)")
    }
    if isArgon, let memoryKiB, !(32...4_194_304).contains(memoryKiB) {
      throw Self.unusable("CRYPTO_PBKDF_MEMORY", memoryKiB, "it is KiB, from 32 to 4194304")
    }
  }

  /// Throws `invalid` where no image can be encrypted so.
  public func checkNewHeader() throws(Fault) {
    guard cipher == "aes-xts-plain64" else {
      throw Self.unusable("CRYPTO_KEY_CIPHER", cipher, "only aes-xts-plain64 is supported")
    }
    guard keySize == 256 || keySize == 512 else {
      throw Self.unusable("CRYPTO_KEY_SIZE", keySize, "256 (AES-128) and 512 (AES-256) are supported")
    }
    try checkKeySlot()
  }

  private static func unusable(_ key: String, _ value: some CustomStringConvertible, _ why: String) -> Fault {
    Fault(
      .invalid, "\(key) is \"\(ResourceName.printable(value.description))\": \(why)", hint: "correct it in the Secret")
  }
}
