/// What is served. Offsets and lengths are bytes and lie within `size`. Calls block, and come from many threads at once.
///
/// What a call throws reaches the client as `NBDError`, everything else as EIO; the device itself tells people of it.
public protocol NBDDevice: AnyObject, Sendable {
  var size: UInt64 { get }
  var isWritable: Bool { get }
  /// What the device does best at once: a power of two from 512 on.
  var preferredBlock: UInt32 { get }

  /// In order and without gaps from `offset` on, at least one; perhaps not to the end of the range, and never beyond.
  func extents(offset: UInt64, length: UInt64) throws -> [NBDExtent]
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws
  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws
  /// The range reads as zero afterwards. `keepingSpace`: later writes there must not run out of space for it.
  func zero(offset: UInt64, length: UInt64, keepingSpace: Bool) throws
  /// The range's content is not needed any more.
  func trim(offset: UInt64, length: UInt64) throws
  /// What was written before survives a power cut.
  func flush() throws
  /// The range will be read soon.
  func cache(offset: UInt64, length: UInt64) throws
}

/// One that is only read.
extension NBDDevice {
  public var isWritable: Bool { false }
  public func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws { throw NBDError.notPermitted }
  public func zero(offset: UInt64, length: UInt64, keepingSpace: Bool) throws { throw NBDError.notPermitted }
  public func trim(offset: UInt64, length: UInt64) throws { throw NBDError.notPermitted }
  public func flush() throws {}
  public func cache(offset: UInt64, length: UInt64) throws {}
}

public struct NBDExtent: Sendable, Hashable {
  public var offset: UInt64
  public var length: UInt64
  /// Reads as zero, and has no bytes of its own.
  public var isHole: Bool

  public init(offset: UInt64, length: UInt64, isHole: Bool) {
    self.offset = offset
    self.length = length
    self.isHole = isHole
  }
}

/// What the protocol can say of a failure. Source: the NBD protocol, "Error values".
public enum NBDError: UInt32, Error, Sendable {
  case notPermitted = 1
  case io = 5
  case noMemory = 12
  case invalid = 22
  case noSpace = 28
  case tooLarge = 75
  case notSupported = 95
  case shuttingDown = 108
}

extension NBDError {
  /// What a device threw, as a client is told.
  init(_ error: any Error) { self = (error as? NBDError) ?? .io }
}
