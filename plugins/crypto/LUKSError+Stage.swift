import DiskImage
import Glibc
import LUKS
import StageKit

extension LUKSError {
  /// What it means for a job. `image` is its name, or what is known of it.
  func stageError(_ image: String) -> StageError {
    switch self {
    case .wrongPassphrase(let uuid):
      StageError(
        "wrong-key", "the passphrase opens no key slot of \(image) (LUKS \(uuid))",
        hint: "name the secret that the image was encrypted with; its bytes count exactly, also a line end")
    case .memory(let needed, let available):
      StageError(
        "no-memory",
        "deriving the key of \(image) takes \(needed) KiB of memory, and "
          + (available.map { "\($0) KiB can be had" } ?? "they can't be had"),
        hint: "free some memory, or encrypt with a smaller CRYPTO_PBKDF_MEMORY in the secret", retry: .transient)
    case .plain:
      StageError(
        "conflict", "cannot re-decrypt the backing image, \(image) is already decrypted",
        hint: "it has no LUKS header; clone it with encryption: ignore")
    case .damaged(let how):
      StageError(
        "bad-header", "the LUKS header of \(image) is damaged: \(how)",
        hint: "restore the image, or its header with `cryptsetup luksHeaderRestore`")
    case .problem(.unsupported(let what)):
      StageError("not-supported", "the LUKS header of \(image) can't be used: \(what)")
    case .problem(.untrue(let what)):
      StageError(
        "bad-header", "the LUKS header of \(image) is not true: \(what)", hint: "is the image whole? restore it")
    case .option(let name, let why):
      StageError(
        "invalid", "parameter \(name): \(why)",
        hint: Self.keys[name].map { "correct \($0) in the secret, if there is one" } ?? "")
    case .library(let doing, let errno, let said):
      StageError(
        "luks", "libcryptsetup can't \(doing) of \(image): \(said ?? String(cString: strerror(errno)))",
        systemError: errno)
    case .system(let error): StageError(system: error)
    case .cancelled: .cancelled
    }
  }

  /// Of a Secret, by the parameter that takes its value.
  private static let keys = [
    "cipher": "CRYPTO_KEY_CIPHER", "hash": "CRYPTO_KEY_HASH", "keySize": "CRYPTO_KEY_SIZE", "pbkdf": "CRYPTO_PBKDF",
    "pbkdfForceIterations": "CRYPTO_PBKDF_FORCE_ITERATIONS", "pbkdfMemory": "CRYPTO_PBKDF_MEMORY",
  ]

  /// Runs `body` and says of which image its errors speak.
  static func naming<R>(_ image: String, _ body: () throws -> R) throws -> R {
    do {
      return try body()
    } catch let error as LUKSError {
      throw error.stageError(image)
    }
  }
}
