private import CCryptsetup

/// How a key slot's key is derived from a passphrase. Which values are allowed is the library's to say.
public struct KeyDerivation: Sendable {
  /// `pbkdf2`, `argon2i` or `argon2id`.
  public var function: String
  public var hash: String
  /// Of argon2 the time cost; nil: as many as take about two seconds here.
  public var iterations: UInt32?
  /// KiB; nil: a GiB, or what the host can spare. Of no meaning for pbkdf2.
  public var memory: UInt32?

  public init(function: String = "argon2i", hash: String = "sha256", iterations: UInt32? = nil, memory: UInt32? = nil) {
    self.function = function
    self.hash = hash
    self.iterations = iterations
    self.memory = memory
  }

  var isArgon: Bool { function != "pbkdf2" }

  /// KiB that it takes where `available` can be had.
  func memory(available: UInt64?) -> UInt64 {
    guard isArgon else { return 0 }
    if let memory { return UInt64(memory) }
    return min(UInt64(ccryptsetup_default_memory()), (available ?? .max) / 4 * 3)
  }

  func check() throws(LUKSError) {
    guard ["pbkdf2", "argon2i", "argon2id"].contains(function) else {
      throw .option("pbkdf", "\(function) is not supported; pbkdf2, argon2i and argon2id are")
    }
    // cryptsetup's own limits, so that what is written here can be opened there.
    if isArgon, let memory, !(32...4_194_304).contains(memory) {
      throw .option("pbkdfMemory", "\(memory) KiB is not between 32 and 4194304")
    }
    if let iterations, iterations < (isArgon ? 4 : 1000) {
      throw .option("pbkdfForceIterations", "\(iterations) is less than \(isArgon ? 4 : 1000)")
    }
  }
}

/// What a new header is made of.
public struct Encryption: Sendable {
  /// `aes-xts-plain64`.
  public var cipher: String
  /// Bits of the volume key: 256 or 512.
  public var keySize: Int
  public var derivation: KeyDerivation

  public init(cipher: String = "aes-xts-plain64", keySize: Int = 256, derivation: KeyDerivation = KeyDerivation()) {
    self.cipher = cipher
    self.keySize = keySize
    self.derivation = derivation
  }

  func check() throws(LUKSError) {
    guard cipher == "aes-xts-plain64" else {
      throw .option("cipher", "\(cipher) is not supported, only aes-xts-plain64 is")
    }
    guard keySize == 256 || keySize == 512 else {
      throw .option("keySize", "\(keySize) bits are not supported; 256 and 512 are")
    }
    try derivation.check()
  }
}
