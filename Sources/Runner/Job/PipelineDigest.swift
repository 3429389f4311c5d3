import DroverModel
import FoundationEssentials
import OpenSSL

extension Pipeline {
  /// SHA-512 of the canonical JSON (keys sorted, slashes not escaped), hexadecimal.
  func digest() throws -> String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    return hexadecimal(try encoder.encode(self).withUnsafeBytes { SHA512.hash($0) })
  }
}
