import LUKS
import StageKit

/// What both stages are opened with. Which of it matters depends on the stage and its direction.
struct CryptoParams: Decodable {
  /// Makes a new header, rather than opening the one that is there.
  var format: Bool?
  var cipher: String?
  var hash: String?
  /// Bits.
  var keySize: Int?
  var pbkdf: String?
  var pbkdfForceIterations: UInt32?
  /// KiB.
  var pbkdfMemory: UInt32?
  var derivationLock: String?
  var image: String?

  init(_ request: OpenRequest) throws {
    self = try request.params(as: CryptoParams.self)
  }

  static let derivation: [String: Parameter] = [
    "hash": Parameter("hash of the new header; sha256 where it is missing"),
    "pbkdf": Parameter("how a new key slot derives its key: argon2i, which is usual, argon2id or pbkdf2"),
    "pbkdfForceIterations": Parameter("iterations of that; measured where it is missing"),
    "pbkdfMemory": Parameter("KiB that Argon2 takes; a GiB, or what can be spared, where it is missing"),
    "derivationLock": Parameter("absolute path of a file; one key at a time is derived under its lock"),
    "image": Parameter("name of the image, for messages"),
  ]

  var derivation: KeyDerivation {
    KeyDerivation(
      function: pbkdf ?? "argon2i", hash: hash ?? "sha256", iterations: pbkdfForceIterations, memory: pbkdfMemory)
  }

  var encryption: Encryption {
    Encryption(cipher: cipher ?? "aes-xts-plain64", keySize: keySize ?? 256, derivation: derivation)
  }

  func gate(_ host: any Host) -> DerivationGate {
    DerivationGate(
      path: derivationLock, isCancelled: { host.isCancelled },
      waits: { host.phase("waiting for another key derivation", detail: nil) },
      goesOn: { host.phase("deriving a key", detail: nil) })
  }
}

extension OpenRequest {
  /// The bytes of a secret as they were given.
  func keyMaterial(_ name: String) throws -> KeyMaterial {
    guard let secret = secrets.first(where: { $0.name == name }), !secret.bytes.isEmpty else {
      throw StageError("key-missing", "missing passphrase for encryption")
    }
    return KeyMaterial(copying: secret.bytes)
  }
}
