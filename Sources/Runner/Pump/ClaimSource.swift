import DroverModel

/// A piece of work of one pump thread.
struct Claim {
  /// Counted from 0, without gaps, in the order of offsets.
  var ticket: UInt64
  var offset: UInt64
  var length: UInt64
  var kind: ExtentWalker.Run.Kind
  /// The bytes are in the thread's buffer already.
  var isRead: Bool
}

/// Hands out claims in the order of offsets. A sequential source is read here, by the thread that claims, so that its
/// reads come in order and one at a time.
struct ClaimSource: ~Copyable {
  private let source: any BlockDevice
  private let transfer: TransferSize
  private var walker: ExtentWalker
  private let isSequential: Bool
  private let size: UInt64?
  private var ticket: UInt64 = 0
  private(set) var position: UInt64
  /// Where the data ended, once that is known.
  private(set) var end: UInt64?

  /// - Parameter start: A block's begin, or the end.
  init(_ source: any BlockDevice, transfer: TransferSize, start: UInt64) {
    self.source = source
    self.transfer = transfer
    isSequential = source.info.isSequential
    size = source.info.size
    end = source.info.size
    position = start
    walker = ExtentWalker(
      source, size: source.info.size ?? 0, transfer: transfer, start: start, joinsData: !source.info.lacksExtents)
  }

  /// Nil at the end.
  mutating func next(into buffer: UnsafeMutableRawBufferPointer, check: () throws -> Void) throws -> Claim? {
    try check()
    if let end, position >= end { return nil }
    let claim = isSequential ? try readOn(into: buffer, check) : try walkOn(check)
    guard let claim else { return nil }
    ticket += 1
    position = claim.offset + claim.length
    return claim
  }

  private mutating func walkOn(_ check: () throws -> Void) throws -> Claim? {
    guard let run = try walker.next(check: check) else { return nil }
    return Claim(ticket: ticket, offset: run.offset, length: run.length, kind: run.kind, isRead: false)
  }

  private mutating func readOn(
    into buffer: UnsafeMutableRawBufferPointer, _ check: () throws -> Void
  ) throws -> Claim? {
    let wanted = min(transfer.granule, (size ?? .max) - position)
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(wanted)])
    let count = try readPieces(source, into: target, at: position, limit: transfer.readLimit)
    if count < target.count { end = position + UInt64(count) }
    guard count > 0 else { return nil }
    return Claim(ticket: ticket, offset: position, length: UInt64(count), kind: .data, isRead: true)
  }
}

/// Reads in pieces of at most `limit` bytes (0: none). Short only where the device may be.
func readPieces(
  _ device: any BlockDevice, into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, limit: UInt64
) throws -> Int {
  var done = 0
  while done < buffer.count {
    let length = limit == 0 ? buffer.count - done : min(buffer.count - done, Int(limit))
    let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + length)])
    let count = try device.read(into: piece, at: offset + UInt64(done))
    done += count
    if count < length { break }
  }
  return done
}
