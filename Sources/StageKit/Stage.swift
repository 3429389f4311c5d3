/// A stage written in Swift: a named way to open a device, alone or over a lower one, or a task.
///
/// A plugin folder holds one or more types that conform, and one exported entry function that hands them to
/// `Plugin`. What each call promises stands in `drover_plugin.h`; StageKit only carries it over the C boundary:
/// it copies structs by their sizes, turns thrown errors into `drover_error`, and keeps devices alive until close.
public protocol Stage {
  /// `^[a-z][a-z0-9-]{1,30}$`, unique among the loaded plugins.
  static var name: String { get }
  /// One line for people.
  static var summary: String { get }
  static var roles: Roles { get }
  /// Whether the devices bear calls from many threads at once.
  static var parallel: Bool { get }
  /// Whether a silence of half a minute is a stall.
  static var network: Bool { get }
  /// Name of each parameter -> whether it is required, and one line about it. Nil takes any.
  static var params: [String: Parameter]? { get }

  /// Tells what opening will need; has no effect. `below` is the plan of the lower device or of the reading side.
  static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan?
  /// Opens a device. The caller closes it.
  static func open(_ request: OpenRequest, host: any Host) throws -> any Device
  /// Does a task's work.
  static func run(_ request: OpenRequest, host: any Host) throws
  /// Removes what the job's attempts left behind.
  static func discard(_ request: OpenRequest, host: any Host) throws
}

/// An open device. Calls come from any thread; see `Stage.parallel` for how many at once.
public protocol Device: AnyObject {
  func info() throws -> DeviceInfo
  /// Appends extents that describe the range from `offset` on, in order and without gaps; at least one, and not
  /// necessarily the whole range. The caller clips.
  func extents(offset: UInt64, length: UInt64) throws -> [Extent]
  /// Fills the whole buffer; returns fewer bytes only at the end of a sequential device of unknown size.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int
  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws
  func zero(offset: UInt64, length: UInt64) throws
  /// The range's content is not needed any more.
  func trim(offset: UInt64, length: UInt64) throws
  func flush() throws
  /// The file behind the range, where the bytes lie there as they are; nil: not offered.
  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange?
  /// What a later attempt needs to go on at `offset`; nil: it can't.
  func checkpoint(offset: UInt64) throws -> [UInt8]?
  func commit(_ commit: Commit) throws
  /// Answers a command with one JSON object.
  func control(verb: String, json: String) throws -> String
  func close()
}

public struct Roles: OptionSet, Sendable {
  public var rawValue: UInt32
  public init(rawValue: UInt32) { self.rawValue = rawValue }
  public static let source = Roles(rawValue: 1)
  public static let filter = Roles(rawValue: 2)
  public static let sink = Roles(rawValue: 4)
  public static let task = Roles(rawValue: 8)
}

public struct Parameter: Sendable {
  public var required: Bool
  public var summary: String
  public init(required: Bool = false, _ summary: String) {
    self.required = required
    self.summary = summary
  }
}

/// Sizes in bytes. See `drover_device_info`.
public struct DeviceInfo: Sendable {
  /// Nil: not known before the end.
  public var size: UInt64?
  public var dataSize: UInt64?
  public var blockMin: UInt32
  /// 0: no preference.
  public var blockPreferred: UInt32
  /// 0: no limit.
  public var blockMax: UInt32
  public var flags: Flags
  public var identity: String?
  /// 128 hexadecimal digits, if known and still true.
  public var sha512: String?
  /// 32 bytes for each 2 MiB, valid together with `sha512`.
  public var blockHashes: [UInt8]?

  public init(
    size: UInt64?, dataSize: UInt64? = nil, blockMin: UInt32 = 1, blockPreferred: UInt32 = 0, blockMax: UInt32 = 0,
    flags: Flags = [], identity: String? = nil, sha512: String? = nil, blockHashes: [UInt8]? = nil
  ) {
    self.size = size
    self.dataSize = dataSize
    self.blockMin = blockMin
    self.blockPreferred = blockPreferred
    self.blockMax = blockMax
    self.flags = flags
    self.identity = identity
    self.sha512 = sha512
    self.blockHashes = blockHashes
  }

  public struct Flags: OptionSet, Sendable {
    public var rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let writable = Flags(rawValue: 0x01)
    public static let sequential = Flags(rawValue: 0x02)
    public static let takesAbsent = Flags(rawValue: 0x04)
    public static let imageFile = Flags(rawValue: 0x08)
    public static let noExtents = Flags(rawValue: 0x10)
    public static let startsZero = Flags(rawValue: 0x20)
    /// A sink that compares every block with the source's `blockHashes` before it commits.
    public static let checksHashes = Flags(rawValue: 0x40)
  }
}

public struct Extent: Sendable, Hashable {
  public var offset: UInt64
  public var length: UInt64
  public var kind: Kind
  public init(offset: UInt64, length: UInt64, kind: Kind) {
    self.offset = offset
    self.length = length
    self.kind = kind
  }
  public enum Kind: UInt32, Sendable { case data, zero, absent }
}

public struct FileRange: Sendable {
  /// Stays the device's own.
  public var descriptor: Int32
  /// Where the asked-for offset lies in the file.
  public var offset: UInt64
  public init(descriptor: Int32, offset: UInt64) {
    self.descriptor = descriptor
    self.offset = offset
  }
}

public struct Commit: Sendable {
  public var size: UInt64
  /// 128 hexadecimal digits of the image file, where it was computed or inherited.
  public var sha512: String?
  /// 32 bytes for each 2 MiB; valid with `sha512`.
  public var blockHashes: [UInt8]?
  public init(size: UInt64, sha512: String? = nil, blockHashes: [UInt8]? = nil) {
    self.size = size
    self.sha512 = sha512
    self.blockHashes = blockHashes
  }
}

/// See `drover_plan`.
public struct Plan: Sendable {
  public var size: UInt64?
  public var dataSize: UInt64?
  /// Bytes that must be free in `spacePath`, an existing folder.
  public var space: UInt64
  public var spacePath: String?
  public var lock: String?
  /// The file whose bytes the device offers as they are.
  public var filePath: String?
  public init(
    size: UInt64? = nil, dataSize: UInt64? = nil, space: UInt64 = 0, spacePath: String? = nil, lock: String? = nil,
    filePath: String? = nil
  ) {
    self.size = size
    self.dataSize = dataSize
    self.space = space
    self.spacePath = spacePath
    self.lock = lock
    self.filePath = filePath
  }
}

/// See `drover_error`. `code` is stable and lower case with dashes; the ones that Drover knows stand in
/// `DroverModel.Fault.Code`. No secret may stand in it.
public struct StageError: Error, Sendable {
  public var code: String
  public var message: String
  public var hint: String
  public var retry: Retry
  /// errno, or 0.
  public var systemError: Int32
  /// Who speaks; nil: the stage that threw it.
  public var domain: String?

  public init(_ code: String, _ message: String, hint: String = "", retry: Retry = .never, systemError: Int32 = 0) {
    self.code = code
    self.message = message
    self.hint = hint
    self.retry = retry
    self.systemError = systemError
  }

  public enum Retry: UInt32, Sendable { case never, transient, afterFix }

  /// What a stage throws when `Host.isCancelled` told it to give up.
  public static let cancelled = StageError("cancelled", "cancelled")
}

/// An error of a lower layer that knows what it means for a stage. Others reach the host with code `internal`.
public protocol StageErrorConvertible: Error {
  var stageError: StageError { get }
}
