/// The name of a block: the first 32 bytes of the SHA-512 of its content, as Longhorn's backupstore has it and as
/// Drover's list of block hashes beside an image.
public enum BlockHash {
  /// Bytes of one block hash.
  public static let length = 32

  /// The 32 bytes of the hash of `bytes`.
  public static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: length) { buffer, count in
      unsafe hash(bytes, into: UnsafeMutableRawBufferPointer(buffer))
      count = length
    }
  }

  /// Writes the hash of `bytes` to the first 32 bytes of `output`.
  public static func hash(_ bytes: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
    unsafe withUnsafeTemporaryAllocation(byteCount: SHA512.length, alignment: 8) { whole in
      unsafe SHA512.digest(bytes, into: whole)
      unsafe output.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole[..<length]))
    }
  }
}
