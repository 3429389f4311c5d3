public import DiskImage
public import LinuxSystem

/// Why an image could not be encrypted, opened or re-keyed. No secret stands in any of it.
public enum LUKSError: Error, Sendable {
  /// No key slot of the header with this UUID takes the passphrase.
  case wrongPassphrase(uuid: String)
  /// The derivation needs more memory than the host has; KiB. `available` is nil where only the library failed.
  case memory(needed: UInt64, available: UInt64?)
  /// The image is not encrypted.
  case plain
  /// Neither copy of the header holds.
  case damaged(String)
  case problem(LUKSHeader.Problem)
  /// An option that can't be: its name, and why.
  case option(String, String)
  /// libcryptsetup answered a negative errno, and perhaps said why.
  case library(doing: String, errno: Int32, said: String?)
  case system(SystemError)
  case cancelled
}
