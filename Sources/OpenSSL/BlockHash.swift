import CSHA512

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

  /// The hashes of the pieces of `block` bytes that `bytes` consists of, the last one perhaps shorter: 32 bytes for each,
  /// one after the other. Several are hashed side by side where the processor can (`CSHA512`), which costs a third.
  public static func hashes(of bytes: UnsafeRawBufferPointer, block: Int) -> [UInt8] {
    unsafe hashes(of: bytes, block: block, in: lanes)
  }

  /// How many messages are hashed side by side, and with what. Nil: one after the other, by libcrypto.
  struct Lanes {
    var width: drover_sha512_width?
    var count: Int

    static let avx2 = Lanes(width: DROVER_SHA512_AVX2, count: 4)
    static let avx512Four = Lanes(width: DROVER_SHA512_AVX512_4, count: 4)
    static let avx512Eight = Lanes(width: DROVER_SHA512_AVX512_8, count: 8)
    static let none = Lanes(width: nil, count: 1)

    /// Whether this processor has them.
    var isThere: Bool { width.map { drover_sha512_has_width($0) == 1 } ?? true }
  }

  /// Four at a time cost nearly as little as eight, and keep the buffers small.
  private static var lanes: Lanes { [Lanes.avx512Four, .avx2].first { $0.isThere } ?? .none }

  /// Bytes that SHA-512 takes at a time; the lanes take whole ones.
  private static let messageBlock = 128

  static func hashes(of bytes: UnsafeRawBufferPointer, block: Int, in lanes: Lanes) -> [UInt8] {
    let count = (bytes.count + block - 1) / block
    return unsafe [UInt8](unsafeUninitializedCapacity: count * length) { output, filled in
      let output = UnsafeMutableRawBufferPointer(output)
      var index = 0
      while index < count {
        let whole = min(lanes.count, bytes.count / block - index)
        if let width = lanes.width, whole > 1, block.isMultiple(of: messageBlock) {
          let run = unsafe UnsafeRawBufferPointer(rebasing: bytes[(index * block)..<((index + whole) * block)])
          unsafe hash(run, whole, width, into: UnsafeMutableRawBufferPointer(rebasing: output[(index * length)...]))
          index += whole
        } else {
          let end = min((index + 1) * block, bytes.count)
          let one = unsafe UnsafeRawBufferPointer(rebasing: bytes[(index * block)..<end])
          unsafe hash(one, into: UnsafeMutableRawBufferPointer(rebasing: output[(index * length)...]))
          index += 1
        }
      }
      filled = count * length
    }
  }

  /// `count` blocks of one length, in lanes.
  private static func hash(
    _ blocks: UnsafeRawBufferPointer, _ count: Int, _ width: drover_sha512_width,
    into output: UnsafeMutableRawBufferPointer
  ) {
    unsafe withUnsafeTemporaryAllocation(byteCount: count * SHA512.length, alignment: 8) { digests in
      guard let start = blocks.baseAddress, let digest = digests.baseAddress else { return }
      let each = blocks.count / count
      let messages = unsafe (0..<count).map { unsafe Optional((start + $0 * each).assumingMemoryBound(to: UInt8.self)) }
      let places = unsafe (0..<count).map {
        unsafe Optional((digest + $0 * SHA512.length).assumingMemoryBound(to: UInt8.self))
      }
      unsafe drover_sha512_lanes_of(width, messages, Int32(count), each, places)
      for index in 0..<count {
        let begin = index * SHA512.length
        unsafe UnsafeMutableRawBufferPointer(rebasing: output[(index * length)...]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: digests[begin..<(begin + length)]))
      }
    }
  }
}
