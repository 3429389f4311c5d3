import CDroverPlugin
import DroverModel

/// Cuts a device's extents into runs for the pump, in order, with a bounded window: a source may answer in millions of
/// one-byte extents.
///
/// A block of `granule` bytes with any data in it is data as a whole, and so is one where zero and absent meet. Zero
/// and absent blocks are joined to runs, and a few neighbouring ones of data.
struct ExtentWalker: ~Copyable {
  struct Run: Equatable {
    enum Kind { case data, zero, absent }
    var offset: UInt64
    var length: UInt64
    var kind: Kind
  }

  private let device: any BlockDevice
  private let size: UInt64
  private let granule: UInt64
  private let longestRun: UInt64
  private let longestData: UInt64
  private var position: UInt64
  private let window = UnsafeMutableBufferPointer<drover_extent>.allocate(capacity: 128)
  private var count = 0
  private var index = 0

  /// How far a device is asked to look at once.
  private static let horizon: UInt64 = 1 << 30

  /// - Parameters:
  ///   - start: A block's begin, or the end.
  ///   - joinsData: Neighbouring blocks of data become one run.
  init(_ device: any BlockDevice, size: UInt64, transfer: TransferSize, start: UInt64, joinsData: Bool) {
    self.device = device
    self.size = size
    granule = transfer.granule
    longestRun = transfer.longestRun
    longestData = joinsData ? transfer.longestData : transfer.granule
    position = start
  }

  deinit { window.deallocate() }

  /// The next run; nil at the end. `check` is asked again and again and throws to give up.
  mutating func next(check: () throws -> Void) throws -> Run? {
    guard position < size else { return nil }
    let begin = position
    let kind = try classify(begin, check)
    var end = min(begin + granule, size)
    if kind == .data {
      let limit = min(begin + longestData, size)
      while end < limit, try classify(end, check) == .data { end = min(end + granule, size) }
    } else {
      let limit = min(begin + longestRun, size)
      while end < limit {
        let extent = try extent(at: end, check)
        if extent.kind == kind, extent.end - end >= granule || extent.end == size {
          end = min(extent.end == size ? size : extent.end - (extent.end - end) % granule, limit)
        } else if try classify(end, check) == kind {
          end = min(end + granule, size)
        } else {
          break
        }
      }
    }
    position = end
    return Run(offset: begin, length: end - begin, kind: kind)
  }

  private mutating func classify(_ begin: UInt64, _ check: () throws -> Void) throws -> Run.Kind {
    let end = min(begin + granule, size)
    var at = begin
    var found: Run.Kind?
    while at < end {
      let extent = try extent(at: at, check)
      if extent.kind == .data || (found ?? extent.kind) != extent.kind { return .data }
      found = extent.kind
      at = extent.end
    }
    return found ?? .data
  }

  /// The extent that covers `offset`. Asks the device where the window does not reach there.
  private mutating func extent(
    at offset: UInt64, _ check: () throws -> Void
  ) throws -> (end: UInt64, kind: Run.Kind) {
    // A block is looked at twice at most, so the way back is short.
    while index > 0, index <= count, index == count || window[index].offset > offset { index -= 1 }
    while index < count, window[index].offset + window[index].length <= offset { index += 1 }
    if index >= count || window[index].offset > offset {
      try check()
      let length = min(Self.horizon / granule * granule, size - offset)
      count = 0
      index = 0
      count = try device.extents(offset: offset, length: max(length, min(granule, size - offset)), into: window)
    }
    let extent = window[index]
    let kind: Run.Kind =
      switch extent.type {
      case DROVER_EXTENT_ZERO: .zero
      case DROVER_EXTENT_ABSENT: .absent
      default: .data
      }
    return (extent.offset + extent.length, kind)
  }
}
