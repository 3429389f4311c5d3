import CDroverPlugin

/// An open device as the runner uses it: a stage's own, or one with something in between. Offsets and lengths are bytes.
/// Calls block and come from many threads; whoever implements it serialises where the stage wants that.
protocol BlockDevice: AnyObject, Sendable {
  /// For messages.
  var name: String { get }
  /// As it was after opening.
  var info: DeviceInfo { get }
  var calls: DeviceCalls { get }

  /// Describes the beginning of the range in at most `extents.count` extents; returns how many, at least one.
  func extents(
    offset: UInt64, length: UInt64, into extents: UnsafeMutableBufferPointer<drover_extent>
  ) throws -> Int
  /// Returns fewer bytes than asked only at the end of a sequential device of unknown size.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int
  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws
  func zero(offset: UInt64, length: UInt64) throws
  /// The content of whole blocks is not needed any more.
  func trim(offset: UInt64, length: UInt64) throws
  func flush() throws
  /// Nil: not offered.
  func fileRange(offset: UInt64, length: UInt64) throws -> FilePlace?
}

extension BlockDevice {
  func trim(offset: UInt64, length: UInt64) throws {}
}

/// The optional calls that a device has.
struct DeviceCalls: OptionSet, Sendable {
  var rawValue: Int
  static let extents = DeviceCalls(rawValue: 1)
  static let read = DeviceCalls(rawValue: 2)
  static let write = DeviceCalls(rawValue: 4)
  static let fileRange = DeviceCalls(rawValue: 8)
  static let checkpoint = DeviceCalls(rawValue: 16)
  static let trim = DeviceCalls(rawValue: 32)
}

/// Where bytes of a device lie in a file. The descriptor stays the device's.
struct FilePlace: Sendable {
  var descriptor: Int32
  var offset: UInt64
}
