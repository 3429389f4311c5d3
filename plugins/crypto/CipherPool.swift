import LUKS
import OpenSSL
import StageKit
import Synchronization

/// The ciphers of one volume key, one for each thread that is in a call: made when there are too few, used again and
/// again.
final class CipherPool: Sendable {
  private let key: KeyMaterial
  private let sectorSize: Int
  private let idle = Mutex<[CipherWorker]>([])

  init(key: KeyMaterial, sectorSize: Int) {
    self.key = key
    self.sectorSize = sectorSize
  }

  func withWorker<R>(_ body: (CipherWorker) throws -> R) throws -> R {
    let worker = try idle.withLock { $0.popLast() } ?? CipherWorker(key, sectorSize: sectorSize)
    defer { idle.withLock { $0.append(worker) } }
    return try body(worker)
  }
}

/// What one thread needs.
final class CipherWorker: @unchecked Sendable {
  // Sendable: whoever took it out of the pool is the only one who has it.
  var encryption: SectorCipher
  var decryption: SectorCipher
  /// For ciphertext, and for parts of sectors. Aligned for writes around the page cache.
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: CipherWorker.length, alignment: 4096)

  /// Bytes that are written at once.
  static let length = 2 << 20

  init(_ key: KeyMaterial, sectorSize: Int) throws {
    let encryption = key.withBytes { SectorCipher(.encrypt, key: $0, sectorSize: sectorSize) }
    let decryption = key.withBytes { SectorCipher(.decrypt, key: $0, sectorSize: sectorSize) }
    guard let encryption, let decryption else {
      throw StageError("bad-header", "the LUKS header holds a key that is of no use for AES-XTS")
    }
    self.encryption = encryption
    self.decryption = decryption
  }

  deinit { buffer.deallocate() }
}
