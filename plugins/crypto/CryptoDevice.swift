import DiskImage
import LUKS
import OpenSSL
import StageKit

/// Plain bytes over a device with a LUKS header and ciphertext.
///
/// Sectors are independent, so any calls may run at once but two that write the same sectors.
final class CryptoDevice: Device {
  private let lower: any Device
  private let header: LUKSHeader
  /// Nil: what is written decides.
  private let size: UInt64?
  private let isWritable: Bool
  private let host: any Host
  private let ciphers: CipherPool

  init(
    over lower: any Device, _ header: LUKSHeader, key: KeyMaterial, size: UInt64?, isWritable: Bool,
    host: any Host
  ) throws {
    self.lower = lower
    self.header = header
    self.size = size
    self.isWritable = isWritable
    self.host = host
    ciphers = CipherPool(key: key, sectorSize: header.sectorSize)
    try ciphers.withWorker { _ in }
  }

  func info() throws -> DeviceInfo {
    // A sink's size is what comes from the source; it is known to whoever opened it.
    DeviceInfo(
      size: size, dataSize: size, blockMin: UInt32(header.sectorSize), blockPreferred: UInt32(CipherWorker.length),
      flags: isWritable ? .writable : .noExtents, identity: "luks \(header.uuid)")
  }

  private var sector: UInt64 { UInt64(header.sectorSize) }
  private func number(_ offset: UInt64) -> UInt64 { header.tweak + offset / 512 }

  private func check(_ offset: UInt64, _ length: Int) throws {
    guard let size, offset > size || UInt64(length) > size - offset else { return }
    throw StageError("invalid", "bytes \(offset) to \(offset + UInt64(length)) of a device of \(size) were asked for")
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    try check(offset, buffer.count)
    try ciphers.withWorker { worker in
      if offset % sector == 0, UInt64(buffer.count) % sector == 0 {
        try lower.readAll(into: buffer, at: header.dataOffset + offset)
        worker.decryption.apply(UnsafeRawBufferPointer(buffer), to: buffer, number: number(offset))
      } else {
        try readAround(buffer, at: offset, worker)
      }
    }
    return buffer.count
  }

  /// Parts of sectors: whole ones are read beside, and the part copied.
  private func readAround(
    _ buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, _ worker: CipherWorker
  ) throws {
    var done = 0
    while done < buffer.count {
      let at = offset + UInt64(done)
      let begin = at / sector * sector
      let end = (offset + UInt64(buffer.count) + sector - 1) / sector * sector
      let piece = UnsafeMutableRawBufferPointer(
        rebasing: worker.buffer[..<Int(min(end - begin, UInt64(CipherWorker.length)))])
      try lower.readAll(into: piece, at: header.dataOffset + begin)
      worker.decryption.apply(UnsafeRawBufferPointer(piece), to: piece, number: number(begin))
      let skipped = Int(at - begin)
      let count = min(piece.count - skipped, buffer.count - done)
      UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + count)])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: piece[skipped..<(skipped + count)]))
      done += count
    }
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try checkWhole(offset, UInt64(buffer.count))
    // An image that is being made must not be one already; what a guest puts on its disk is the guest's business.
    if offset == 0, size == nil, buffer.starts(with: Self.mark) { throw CryptoStage.isEncrypted("it") }
    try ciphers.withWorker { worker in
      var done = 0
      while done < buffer.count {
        let count = min(CipherWorker.length, buffer.count - done)
        let at = offset + UInt64(done)
        let piece = UnsafeMutableRawBufferPointer(rebasing: worker.buffer[..<count])
        worker.encryption.apply(
          UnsafeRawBufferPointer(rebasing: buffer[done..<(done + count)]), to: piece, number: number(at))
        try lower.write(UnsafeRawBufferPointer(piece), at: header.dataOffset + at)
        done += count
      }
    }
  }

  /// As long as what is below has zeros, its free space would tell where data lies: they are encrypted like the rest.
  func zero(offset: UInt64, length: UInt64) throws {
    try checkWhole(offset, length)
    try ciphers.withWorker { worker in
      var done: UInt64 = 0
      while done < length {
        if host.isCancelled { throw StageError.cancelled }
        let count = Int(min(UInt64(CipherWorker.length), length - done))
        let piece = UnsafeMutableRawBufferPointer(rebasing: worker.buffer[..<count])
        piece.initializeMemory(as: UInt8.self, repeating: 0)
        worker.encryption.apply(UnsafeRawBufferPointer(piece), to: piece, number: number(offset + done))
        try lower.write(UnsafeRawBufferPointer(piece), at: header.dataOffset + offset + done)
        done += UInt64(count)
      }
    }
  }

  /// How an encrypted image begins.
  private static let mark: [UInt8] = [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE, 0]

  /// Part of a sector can't be written, and no image has one.
  private func checkWhole(_ offset: UInt64, _ length: UInt64) throws {
    try check(offset, Int(length))
    guard offset % sector == 0, length % sector == 0 else {
      throw StageError(
        "bad-size", "\(length) bytes at \(offset) are not whole sectors of \(sector) bytes",
        hint: "an image is a disk, and a disk has whole sectors; was the file cut, or is it compressed?")
    }
    let (end, overflow) = offset.addingReportingOverflow(length)
    guard !overflow, end <= UInt64(Int64.max) - header.dataOffset else {
      throw StageError("bad-size", "no file reaches to byte \(offset) and \(length) more")
    }
  }

  func flush() throws { try lower.flush() }

  func checkpoint(offset: UInt64) throws -> [UInt8]? { isWritable ? Array(header.uuid.utf8) : nil }
}
