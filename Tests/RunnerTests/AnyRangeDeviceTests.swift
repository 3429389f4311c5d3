import CDroverPlugin
import DroverModel
import LinuxSystem
import NBD
import Synchronization
import TestKit
import Testing

@testable import Runner

/// Any range over a device of whole blocks, against a model in memory.
@Suite struct AnyRangeDeviceTests {
  /// Refuses everything that is not whole blocks.
  private final class Blocks: BlockDevice {
    let name = "blocks"
    let calls: DeviceCalls = [.extents, .read, .write, .trim]
    let info: DeviceInfo
    let bytes: Mutex<[UInt8]>
    let trimmed = Mutex<[Range<UInt64>]>([])
    private let block: UInt64

    init(size: Int, block: UInt64) {
      var info = DeviceInfo()
      info.size = UInt64(size)
      info.blockMin = block
      info.blockMax = block * 4
      info.flags = DROVER_DEVICE_WRITABLE
      self.info = info
      self.block = block
      bytes = Mutex([UInt8](repeating: 0, count: size))
    }

    private func check(_ offset: UInt64, _ length: UInt64, isShort: Bool = true) throws {
      let end = offset + length
      guard length > 0, offset % block == 0, end % block == 0 || end == info.size, end <= info.size ?? 0,
        !isShort || length <= info.blockMax
      else { throw Fault(.internalError, "not whole blocks: \(length) at \(offset)") }
    }

    func extents(
      offset: UInt64, length: UInt64, into extents: UnsafeMutableBufferPointer<drover_extent>
    ) throws -> Int {
      try check(offset, length, isShort: false)
      // One a block, in turns.
      var count = 0
      var at = offset
      while at < offset + length, count < extents.count {
        let end = min((at / block + 1) * block, offset + length)
        let type = at / block % 2 == 0 ? DROVER_EXTENT_DATA : DROVER_EXTENT_ZERO
        extents[count] = drover_extent(offset: at, length: end - at, type: type, reserved: 0)
        (at, count) = (end, count + 1)
      }
      return count
    }

    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
      try check(offset, UInt64(buffer.count))
      bytes.withLock { buffer.copyBytes(from: $0[Int(offset)..<(Int(offset) + buffer.count)]) }
      return buffer.count
    }

    func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
      try check(offset, UInt64(buffer.count))
      bytes.withLock { $0.replaceSubrange(Int(offset)..<(Int(offset) + buffer.count), with: buffer) }
    }

    func zero(offset: UInt64, length: UInt64) throws {
      try check(offset, length, isShort: false)
      bytes.withLock {
        $0.replaceSubrange(Int(offset)..<Int(offset + length), with: repeatElement(0, count: Int(length)))
      }
    }

    func trim(offset: UInt64, length: UInt64) throws {
      try check(offset, length, isShort: false)
      trimmed.withLock { $0.append(offset..<(offset + length)) }
    }

    func flush() throws {}
    func fileRange(offset: UInt64, length: UInt64) throws -> FilePlace? { nil }
  }

  private func served(_ blocks: Blocks) throws -> ServedDevice {
    try ServedDevice(blocks, writable: true, ServedTroubles { _, _ in })
  }

  /// The last block is short.
  @Test func randomRanges() throws {
    let size = 40 * 4096 + 1536
    let blocks = Blocks(size: size, block: 4096)
    let device = try served(blocks)
    var model = [UInt8](repeating: 0, count: size)
    var noise = Noise(seed: 21)
    func number(_ limit: Int) -> Int { Int(noise.bytes(4).reduce(0) { $0 << 8 | UInt32($1) }) % limit }
    for _ in 0..<1500 {
      let offset = number(size)
      let length = 1 + number(min(size - offset, [600, 5000, 60000][number(3)]))
      let range = offset..<(offset + length)
      switch number(4) {
      case 0:
        let data = noise.bytes(length)
        try data.withUnsafeBytes { try device.write($0, at: UInt64(offset)) }
        model.replaceSubrange(range, with: data)
      case 1:
        try device.zero(offset: UInt64(offset), length: UInt64(length), keepingSpace: number(2) == 0)
        model.replaceSubrange(range, with: repeatElement(0, count: length))
      case 2:
        let extents = try device.extents(offset: UInt64(offset), length: UInt64(length))
        #expect(extents.first?.offset == UInt64(offset))
        #expect((extents.last.map { $0.offset + $0.length } ?? .max) <= UInt64(offset + length))
        for extent in extents { #expect(extent.isHole == (extent.offset / 4096 % 2 == 1)) }
      default:
        var bytes = [UInt8](repeating: 1, count: length)
        try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: UInt64(offset)) }
        let isSame = bytes == Array(model[range])
        #expect(isSame, "\(range)")
      }
    }
    let isSame = blocks.bytes.withLock { $0 } == model
    #expect(isSame)
  }

  /// Threads that write, each its own byte of every block, beside one that writes whole blocks elsewhere.
  @Test func neighboursAtOnce() throws {
    let blocks = Blocks(size: 16 * 4096, block: 4096)
    let device = try served(blocks)
    let failures = Mutex(0)
    let group = ThreadGroup()
    for thread in 0..<6 {
      try group.start("writer") {
        for round in 1...100 {
          for block in 0..<8 {
            let data = [UInt8](repeating: UInt8(round), count: 500)
            do {
              try data.withUnsafeBytes { try device.write($0, at: UInt64(block * 4096 + thread * 500)) }
            } catch { failures.withLock { $0 += 1 } }
          }
        }
      }
    }
    group.join()
    #expect(failures.withLock { $0 } == 0)
    let bytes = blocks.bytes.withLock { $0 }
    for block in 0..<8 {
      let isWhole = bytes[(block * 4096)..<(block * 4096 + 3000)].allSatisfy { $0 == 100 }
      #expect(isWhole, "block \(block)")
    }
  }

  @Test func onlyWholeBlocksAreTrimmed() throws {
    let blocks = Blocks(size: 4 * 4096 + 512, block: 4096)
    let device = try served(blocks)
    try device.trim(offset: 1, length: 8191)
    try device.trim(offset: 100, length: 200)
    try device.trim(offset: 3 * 4096, length: 4096 + 512)
    #expect(blocks.trimmed.withLock { $0 } == [4096..<8192, 12288..<16896])
  }

  @Test func aFailedFlushStaysFailed() throws {
    final class Told: Sendable { let faults = Mutex<[Fault]>([]) }
    let told = Told()
    let troubles = ServedTroubles { fault, _ in told.faults.withLock { $0.append(fault) } }
    #expect(throws: (any Error).self) { try troubles.watchingFlush { throw Fault(.io, "bad sector") } }
    #expect(throws: (any Error).self) { try troubles.watchingFlush {} }
    #expect(throws: (any Error).self) { try troubles.watchingChange {} }
    try troubles.watching {}
    #expect(troubles.fatal?.message.contains("bad sector") == true && told.faults.withLock { $0.count } == 1)
  }
}
