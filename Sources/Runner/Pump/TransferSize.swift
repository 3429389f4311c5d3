import DroverModel

/// How much the pump moves at once: the sink's preferred block, fitted to what both devices can take.
struct TransferSize: Sendable, Equatable {
  /// What data runs are rounded out to.
  var granule: UInt64
  /// Longest single read and write; 0 where there is no limit.
  var readLimit: UInt64
  var writeLimit: UInt64

  /// Where neither device has a preference: one block of the list of hashes.
  static let usual: UInt64 = 2 << 20
  static let largest: UInt64 = 64 << 20
  /// Zero runs are cut to about this, so that a cancel is heard in between.
  static let zeroRun: UInt64 = 64 << 20

  init(source: DeviceInfo, sink: DeviceInfo) throws(Fault) {
    let unit = Self.leastCommonMultiple(source.blockMin, sink.blockMin)
    guard unit <= Self.largest else {
      throw Fault(
        .notSupported,
        "the source's blocks of \(source.blockMin) bytes and the sink's of \(sink.blockMin) fit together only in "
          + "steps of \(unit) bytes; at most \(Self.largest) are supported")
    }
    let most = sink.blockMax > 0 ? min(Self.usual, sink.blockMax) : Self.usual
    let wanted =
      if sink.blockPreferred > 0 { sink.blockPreferred } else if source.blockPreferred > 0 {
        source.blockPreferred
      } else { most }
    let rounded = (min(wanted, Self.largest) + unit - 1) / unit * unit
    granule = min(rounded, Self.largest / unit * unit)
    readLimit = source.blockMax
    writeLimit = sink.blockMax
  }

  /// Longest claim of data: neighbouring blocks go together, since a few of them are hashed at once for the price of one.
  var longestData: UInt64 { max(1, min(4, 4 * Self.usual / granule)) * granule }

  /// Where a copy that has come to `start` goes on: at a block's begin, or nowhere where it has come to the end.
  func begin(_ start: UInt64, size: UInt64?) -> UInt64 {
    if let size, start >= size { return size }
    return start / granule * granule
  }

  /// Longest run of zeros or absent bytes in one claim.
  var longestRun: UInt64 { max(1, Self.zeroRun / granule) * granule }

  private static func leastCommonMultiple(_ a: UInt64, _ b: UInt64) -> UInt64 {
    var (x, y) = (a, b)
    while y != 0 { (x, y) = (y, x % y) }
    return a / x * b
  }
}
