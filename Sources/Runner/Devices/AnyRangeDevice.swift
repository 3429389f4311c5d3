import CDroverPlugin
import DroverModel

/// Any offset and any length over a device that takes whole blocks only. Part of a block is read, changed and written back,
/// under a lock: two that write neighbouring bytes at once never lose one another's.
final class AnyRangeDevice: BlockDevice {
  private let device: any BlockDevice
  private let size: UInt64
  private let unit: UInt64
  private let lock = RangeLock()
  private let scratch: ScratchPool

  /// The device itself, where it takes any range already.
  /// - Throws: Fault `not-supported` where it is not for access at any place.
  static func over(_ device: any BlockDevice) throws(Fault) -> any BlockDevice {
    guard let size = device.info.size, !device.info.isSequential, device.calls.contains(.read) else {
      throw Fault(.notSupported, "stage \(device.name) can't be served: it can't be read at any place")
    }
    guard device.info.blockMin <= 1 << 20 else {
      throw Fault(
        .notSupported, "stage \(device.name) can't be served: its blocks have \(device.info.blockMin) bytes")
    }
    return device.info.blockMin == 1 ? device : AnyRangeDevice(device, size: size)
  }

  private init(_ device: any BlockDevice, size: UInt64) {
    self.device = device
    self.size = size
    unit = device.info.blockMin
    scratch = ScratchPool(length: Int(unit))
  }

  var name: String { device.name }
  var calls: DeviceCalls { device.calls.subtracting(.fileRange) }

  var info: DeviceInfo {
    var info = device.info
    info.blockMin = 1
    return info
  }

  private func floor(_ offset: UInt64) -> UInt64 { offset / unit * unit }
  /// The last block may be short.
  private func ceiling(_ offset: UInt64) -> UInt64 { min(size, (offset + unit - 1) / unit * unit) }
  private func isWhole(_ range: Range<UInt64>) -> Bool {
    range.lowerBound % unit == 0 && (range.upperBound % unit == 0 || range.upperBound == size)
  }

  func extents(
    offset: UInt64, length: UInt64, into extents: UnsafeMutableBufferPointer<drover_extent>
  ) throws -> Int {
    let begin = floor(offset)
    let end = offset + length
    let count = try device.extents(offset: begin, length: ceiling(end) - begin, into: extents)
    var kept = 0
    for extent in extents[..<count] {
      let from = max(extent.offset, offset)
      let to = min(extent.offset + extent.length, end)
      guard from < to else { continue }
      extents[kept] = drover_extent(offset: from, length: to - from, type: extent.type, reserved: 0)
      kept += 1
    }
    guard kept == 0 else { return kept }
    // It was described up to the asked-for place only.
    let block = min(end, ceiling(offset + 1)) - offset
    extents[0] = drover_extent(offset: offset, length: block, type: DROVER_EXTENT_DATA, reserved: 0)
    return 1
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    try pieces(offset..<(offset + UInt64(buffer.count))) { range, isPart in
      let target = UnsafeMutableRawBufferPointer(
        rebasing: buffer[Int(range.lowerBound - offset)..<Int(range.upperBound - offset)])
      guard isPart else { return _ = try readPieces(device, into: target, at: range.lowerBound, limit: info.blockMax) }
      try withBlock(range) { _, part in target.copyMemory(from: UnsafeRawBufferPointer(part)) }
    }
    return buffer.count
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try changing(offset..<(offset + UInt64(buffer.count))) { range, isPart in
      let source = UnsafeRawBufferPointer(
        rebasing: buffer[Int(range.lowerBound - offset)..<Int(range.upperBound - offset)])
      guard isPart else { return try device.write(source, at: range.lowerBound) }
      try withBlock(range) { block, part in
        part.copyMemory(from: source)
        try device.write(UnsafeRawBufferPointer(block), at: floor(range.lowerBound))
      }
    }
  }

  func zero(offset: UInt64, length: UInt64) throws {
    try changing(offset..<(offset + length)) { range, isPart in
      guard isPart else {
        return try device.zero(offset: range.lowerBound, length: range.upperBound - range.lowerBound)
      }
      try withBlock(range) { block, part in
        part.initializeMemory(as: UInt8.self, repeating: 0)
        try device.write(UnsafeRawBufferPointer(block), at: floor(range.lowerBound))
      }
    }
  }

  /// Of the blocks that lie in the range as a whole.
  func trim(offset: UInt64, length: UInt64) throws {
    let begin = (offset + unit - 1) / unit * unit
    let end = offset + length == size ? size : floor(offset + length)
    guard begin < end else { return }
    try lock.holding(begin..<end, alone: false) { try device.trim(offset: begin, length: end - begin) }
  }

  func flush() throws { try device.flush() }
  func fileRange(offset: UInt64, length: UInt64) throws -> FilePlace? { nil }

  private func changing(
    _ range: Range<UInt64>, _ body: (_ range: Range<UInt64>, _ isPart: Bool) throws -> Void
  ) throws {
    guard !range.isEmpty else { return }
    try lock.holding(floor(range.lowerBound)..<ceiling(range.upperBound), alone: !isWhole(range)) {
      try pieces(range, body)
    }
  }

  /// Part of the first block, whole ones, and part of the last one, those of them that there are.
  private func pieces(
    _ range: Range<UInt64>, _ body: (_ range: Range<UInt64>, _ isPart: Bool) throws -> Void
  ) throws {
    var at = range.lowerBound
    if at % unit != 0 {
      let end = min(range.upperBound, ceiling(at))
      let first = at..<end
      try body(first, true)
      at = end
    }
    let whole = range.upperBound == size ? size : floor(range.upperBound)
    if at < whole {
      try body(at..<whole, false)
      at = whole
    }
    if at < range.upperBound { try body(at..<range.upperBound, true) }
  }

  /// The block that the range lies in, as it is now, and the range's part of it.
  private func withBlock(
    _ range: Range<UInt64>,
    _ body: (_ block: UnsafeMutableRawBufferPointer, _ part: UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    try scratch.withBuffer { buffer in
      let begin = floor(range.lowerBound)
      let block = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(ceiling(range.upperBound) - begin)])
      _ = try readPieces(device, into: block, at: begin, limit: device.info.blockMax)
      let part = Int(range.lowerBound - begin)..<Int(range.upperBound - begin)
      try body(block, UnsafeMutableRawBufferPointer(rebasing: block[part]))
    }
  }
}
