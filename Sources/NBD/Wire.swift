/// Numbers of the protocol. Source: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md
enum Wire {
  static let passwordMagic: UInt64 = 0x4e42_444d_4147_4943  // "NBDMAGIC"
  static let optionMagic: UInt64 = 0x4948_4156_454f_5054  // "IHAVEOPT"
  static let optionReplyMagic: UInt64 = 0x0003_e889_0455_65a9
  static let requestMagic: UInt32 = 0x2560_9513
  static let simpleReplyMagic: UInt32 = 0x6744_6698
  static let structuredReplyMagic: UInt32 = 0x668e_33ef

  /// Of the server, and as the client answers it.
  struct HandshakeFlags: OptionSet {
    var rawValue: UInt32
    static let fixedNewstyle = HandshakeFlags(rawValue: 1)
    static let noZeroes = HandshakeFlags(rawValue: 2)
  }

  enum Option: UInt32 {
    case exportName = 1, abort, list, peekExport, startTLS, info, go, structuredReply, listMetaContext, setMetaContext
  }

  enum OptionReply: UInt32 {
    case ack = 1, server, info, metaContext
    case unsupported = 0x8000_0001
    case policy = 0x8000_0002
    case invalid = 0x8000_0003
    case unknown = 0x8000_0006
    case tooBig = 0x8000_0009
  }

  enum Info: UInt16 { case export = 0, name, description, blockSize }

  struct TransmissionFlags: OptionSet {
    var rawValue: UInt16
    static let hasFlags = TransmissionFlags(rawValue: 1 << 0)
    static let readOnly = TransmissionFlags(rawValue: 1 << 1)
    static let sendFlush = TransmissionFlags(rawValue: 1 << 2)
    static let sendFUA = TransmissionFlags(rawValue: 1 << 3)
    static let sendTrim = TransmissionFlags(rawValue: 1 << 5)
    static let sendWriteZeroes = TransmissionFlags(rawValue: 1 << 6)
    static let sendDF = TransmissionFlags(rawValue: 1 << 7)
    static let canMultiConnect = TransmissionFlags(rawValue: 1 << 8)
    static let sendCache = TransmissionFlags(rawValue: 1 << 10)
    static let sendFastZero = TransmissionFlags(rawValue: 1 << 11)
  }

  enum Command: UInt16 { case read = 0, write, disconnect, flush, trim, cache, writeZeroes, blockStatus }

  struct CommandFlags: OptionSet {
    var rawValue: UInt16
    static let fua = CommandFlags(rawValue: 1 << 0)
    static let noHole = CommandFlags(rawValue: 1 << 1)
    static let dontFragment = CommandFlags(rawValue: 1 << 2)
    static let requestOne = CommandFlags(rawValue: 1 << 3)
    static let fastZero = CommandFlags(rawValue: 1 << 4)
  }

  enum Chunk: UInt16 {
    case none = 0, offsetData, offsetHole
    case blockStatus = 5
    case error = 0x8001
  }

  static let chunkIsLast: UInt16 = 1
  /// Descriptors of `base:allocation`.
  static let stateHole: UInt32 = 1
  static let stateZero: UInt32 = 2
  static let allocationContext = "base:allocation"
  static let allocationContextID: UInt32 = 1
}

/// Big-endian numbers, put together.
struct WireBytes {
  private(set) var bytes: [UInt8] = []

  mutating func put<Number: FixedWidthInteger>(_ number: Number) {
    withUnsafeBytes(of: number.bigEndian) { bytes.append(contentsOf: $0) }
  }

  mutating func put(_ text: some Sequence<UInt8>) { bytes.append(contentsOf: text) }
}

/// Big-endian numbers, taken apart; nil beyond the end.
struct WireReader {
  private var rest: ArraySlice<UInt8>

  init(_ bytes: [UInt8]) { rest = bytes[...] }

  var isAtEnd: Bool { rest.isEmpty }

  mutating func number<Number: FixedWidthInteger>(_ type: Number.Type) -> Number? {
    let length = MemoryLayout<Number>.size
    guard rest.count >= length else { return nil }
    defer { rest = rest.dropFirst(length) }
    return rest.prefix(length).reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
  }

  mutating func text(_ length: UInt32) -> String? {
    guard rest.count >= Int(length) else { return nil }
    defer { rest = rest.dropFirst(Int(length)) }
    return String(validating: rest.prefix(Int(length)), as: UTF8.self)
  }

  /// With its length before it.
  mutating func countedText() -> String? { number(UInt32.self).flatMap { text($0) } }
}
