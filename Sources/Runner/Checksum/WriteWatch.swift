import CDroverPlugin
import LinuxSystem

/// The lowest device of a writing stack with filters over it: notes what the filters write, so that the image can be
/// hashed from 0 on while the copy still runs, and keeps the latest of it for that.
///
/// What was read for the hash may be written again, for example a header that is finished last. Then there is no safe
/// mark before the end, and the whole is read again once all is written.
final class WriteWatch: BlockDevice {
  fileprivate struct State: ~Copyable {
    var kept = KeptWrites()
    /// Ranges that are written, in order, without neighbours that touch.
    var written: [Range<UInt64>] = []
    var end: UInt64 = 0
    var readTo: UInt64 = 0
    /// The hash has come here; nil where nobody makes one.
    var hashed: UInt64?
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

  /// Before the first write: somebody will make a hash, so what is written is kept for it.
  func expectHash() { state.withLock { $0.hashed = 0 } }

  /// Everything below this was written since the device was opened.
  var highestWrite: UInt64 { state.withLock { $0.end } }
  /// A hash that was begun before the end is of no use.
  var mustReadAgain: Bool { state.withLock { $0.isTooScattered } }

  /// How far the hash may read; see `FollowerHash.Mark`. A few blocks at a time, which are hashed for the price of one.
  func mark(beyond offset: UInt64) -> UInt64? {
    // Whoever waits for room below is told.
    state.change { state in
      state.hashed = offset
      state.kept.drop(below: offset)
    }
    return state.wait { state in
      if state.isOver { return .some(nil) }
      if let mark = state.mark(beyond: offset) {
        state.readTo = max(state.readTo, mark)
        return .some(mark)
      }
      return state.size != nil ? .some(nil) : nil
    }
  }

  /// Nothing is written any more.
  func finish(size: UInt64) { state.change { $0.size = size } }
  /// The copy, or its hash, was given up.
  func stop() { state.change { $0.isOver = true } }

  func extents(
    offset: UInt64, length: UInt64, into extents: UnsafeMutableBufferPointer<drover_extent>
  ) throws -> Int { try device.extents(offset: offset, length: length, into: extents) }

  /// What was written a moment ago is taken from memory.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    var done = 0
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let at = offset + UInt64(done)
      let next = state.withLock { $0.kept.borrow(at: at, before: at + UInt64(rest.count)) }
      if let next, next.range.lowerBound <= at {
        done += next.copy(from: at, into: rest)
        state.change { $0.kept.giveBack(next) }
        continue
      }
      if let next { state.change { $0.kept.giveBack(next) } }
      let length = next.map { Int($0.range.lowerBound - at) } ?? rest.count
      let count = try device.read(into: UnsafeMutableRawBufferPointer(rebasing: rest[..<length]), at: at)
      done += count
      if count < length { break }
    }
    return done
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    let length = UInt64(buffer.count)
    state.change { $0.note(offset, length) }
    let place = state.wait { state -> KeptWrites.Place?? in state.place(for: buffer.count) }
    do {
      try device.write(buffer, at: offset)
    } catch {
      if let place { state.change { $0.kept.giveUp(place) } }
      throw error
    }
    place?.take(buffer)
    state.change { state in
      state.wrote(offset, length)
      if let place { state.kept.keep(place, at: offset, count: buffer.count, isWanted: !state.isTooScattered) }
    }
  }

  func zero(offset: UInt64, length: UInt64) throws {
    state.change { $0.note(offset, length) }
    try device.zero(offset: offset, length: length)
    state.change { $0.wrote(offset, length) }
  }

  func flush() throws { try device.flush() }
  func fileRange(offset: UInt64, length: UInt64) throws -> FilePlace? { nil }
}

extension WriteWatch.State {
  /// Blocks that are hashed side by side.
  private static let most = 4 * UInt64(BlockHashList.block)

  /// Nil: there is nothing to read yet.
  func mark(beyond offset: UInt64) -> UInt64? {
    var mark: UInt64 = 0
    if let size {
      mark = size
    } else if !isTooScattered, let first = written.first, first.lowerBound == 0 {
      mark = first.upperBound
    }
    guard mark > offset else { return nil }
    let wanted = offset - offset % UInt64(BlockHashList.block) + Self.most
    if mark < wanted { return size == nil ? nil : mark }
    return wanted
  }

  /// Before a write: a second one of the same place. Also of what is not read yet: the mark may pass it meanwhile.
  mutating func note(_ offset: UInt64, _ length: UInt64) {
    let isAgain = written.contains { $0.lowerBound < offset + length && offset < $0.upperBound }
    if isAgain || offset < readTo { scatter() }
  }

  /// Where a copy of the bytes may go; `.some(nil)`: it is not wanted; nil: wait until the hash has gone on, which it can.
  mutating func place(for count: Int) -> KeptWrites.Place?? {
    guard let hashed, !isTooScattered, !isOver, count <= KeptWrites.longest else { return .some(nil) }
    if let place = kept.take() { return place }
    return mark(beyond: hashed) == nil ? .some(nil) : nil
  }

  /// After a write.
  mutating func wrote(_ offset: UInt64, _ length: UInt64) {
    end = max(end, offset + length)
    guard !isTooScattered, length > 0 else { return }
    Self.add(offset..<(offset + length), to: &written)
    if written.count > 1024 { scatter() }
  }

  private mutating func scatter() {
    isTooScattered = true
    written = []
    kept.drop()
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
