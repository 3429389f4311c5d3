private import COpenSSL

/// AES-XTS over whole sectors, each with its number as tweak ("plain64"). Owned by one caller; not to be used by two
/// threads at once.
@safe public struct SectorCipher: ~Copyable {
  public enum Direction: Sendable { case encrypt, decrypt }

  private let context: OpaquePointer
  /// Bytes of a sector: a power of two from 512 to 4096.
  public let sectorSize: Int
  /// By how much the tweaks of two neighbours differ: numbers count 512 bytes, whatever the sector's size is.
  private let step: UInt64

  /// - Parameters:
  ///   - key: Both halves, 32 or 64 bytes; not kept.
  ///   - isPortable: Leaves out what only some processors have; for tests.
  /// Nil: a key of another length or with equal halves, or a libcrypto without AES.
  public init?(
    _ direction: Direction, key: UnsafeRawBufferPointer, sectorSize: Int, isPortable: Bool = false
  ) {
    guard [512, 1024, 2048, 4096].contains(sectorSize), let base = key.baseAddress else { return nil }
    let made = unsafe copenssl_xts_new(
      base.assumingMemoryBound(to: UInt8.self), key.count, direction == .encrypt ? 1 : 0, isPortable ? 1 : 0)
    guard let made = unsafe made else { return nil }
    unsafe context = made
    self.sectorSize = sectorSize
    step = UInt64(sectorSize / 512)
  }

  deinit { unsafe copenssl_xts_free(context) }

  /// Whole sectors from `input` to `output`, which may be the same memory, but must not overlap otherwise.
  /// - Parameter number: Tweak of the first sector, in units of 512 bytes.
  public mutating func apply(
    _ input: UnsafeRawBufferPointer, to output: UnsafeMutableRawBufferPointer, number: UInt64
  ) {
    precondition(input.count % sectorSize == 0 && output.count >= input.count)
    guard let from = input.baseAddress, let to = output.baseAddress else { return }
    let done = unsafe copenssl_xts_crypt(
      context, from.assumingMemoryBound(to: UInt8.self), to.assumingMemoryBound(to: UInt8.self), input.count,
      sectorSize, number, step)
    guard done == 1 else { fatalError("libcrypto failed to apply AES") }
  }
}
