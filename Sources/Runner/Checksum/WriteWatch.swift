import CDroverPlugin
import LinuxSystem

/// The lowest device of a writing stack with filters over it: notes what the filters write, so that the image can be
/// hashed from 0 on while the copy still runs.
///
/// What was read for the hash may be written again, for example a header that is finished last. Then there is no safe
/// mark before the end, and the whole is read again once all is written.
final class WriteWatch: BlockDevice {
  private struct State {
    /// Ranges that are written, in order, without neighbours that touch.
    var written: [Range<UInt64>] = []
    var end: UInt64 = 0
    var readTo: UInt64 = 0
    var isTooScattered = false
    /// All is written: the image's size.
    var size: UInt64?
    var isOver = false
  }
  private let state = Monitor(State())
  private let device: any BlockDevice

  init(_ device: any BlockDevice) { self.device = device }

  var name: String { device.name }
  var info: DeviceInfo { device.info }
  var calls: DeviceCalls { device.calls.subtracting(.fileRange) }

  /// Everything below this was written since the device was opened.
  var highestWrite: UInt64 { state.withLock { $0.end } }
  /// A hash that was begun before the end is of no use.
  var mustReadAgain: Bool { state.withLock { $0.isTooScattered } }

  /// How far the hash may read; see `FollowerHash.Mark`.
  func mark(beyond offset: UInt64) -> UInt64? {
    state.wait { state in
      if state.isOver { return .some(nil) }
      var mark: UInt64 = 0
      if let size = state.size {
        mark = size
      } else if !state.isTooScattered, let first = state.written.first, first.lowerBound == 0 {
        mark = first.upperBound
      }
      if mark > offset {
        state.readTo = max(state.readTo, mark)
        return .some(mark)
      }
      return state.size != nil ? .some(nil) : nil
    }
  }

  /// Nothing is written any more.
  func finish(size: UInt64) { state.change { $0.size = size } }
  /// The copy was given up.
  func stop() { state.change { $0.isOver = true } }

  func extents(
    offset: UInt64, length: UInt64, into extents: UnsafeMutableBufferPointer<drover_extent>
  ) throws -> Int { try device.extents(offset: offset, length: length, into: extents) }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    try device.read(into: buffer, at: offset)
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try noting(offset, UInt64(buffer.count)) { try device.write(buffer, at: offset) }
  }

  func zero(offset: UInt64, length: UInt64) throws {
    try noting(offset, length) { try device.zero(offset: offset, length: length) }
  }

  func flush() throws { try device.flush() }
  func fileRange(offset: UInt64, length: UInt64) throws -> FilePlace? { nil }

  private func noting(_ offset: UInt64, _ length: UInt64, _ write: () throws -> Void) throws {
    state.withLock { state in
      // Also what is not read yet: the mark may pass it while it is written a second time.
      let isAgain = state.written.contains { $0.lowerBound < offset + length && offset < $0.upperBound }
      if isAgain || offset < state.readTo { state.isTooScattered = true }
    }
    try write()
    state.change { state in
      state.end = max(state.end, offset + length)
      guard !state.isTooScattered, length > 0 else { return }
      Self.add(offset..<(offset + length), to: &state.written)
      if state.written.count > 1024 {
        state.isTooScattered = true
        state.written = []
      }
    }
  }

  private static func add(_ range: Range<UInt64>, to ranges: inout [Range<UInt64>]) {
    let first = ranges.firstIndex { $0.upperBound >= range.lowerBound } ?? ranges.endIndex
    let last = ranges[first...].firstIndex { $0.lowerBound > range.upperBound } ?? ranges.endIndex
    let touched = ranges[first..<last]
    let joined =
      min(
        range.lowerBound, touched.first?.lowerBound ?? .max)..<max(
        range.upperBound, touched.last?.upperBound ?? 0)
    ranges.replaceSubrange(first..<last, with: [joined])
  }
}
