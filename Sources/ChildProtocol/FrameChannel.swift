public import DroverModel
import FoundationEssentials
import LinuxSystem
import Synchronization

/// A child's channel, either end: frames over a stream socket.
///
/// Calls block. Any thread may send; the frames of two threads never mix. Any thread may receive, one at a time.
/// Errors are Faults: `io` where the peer is gone in the middle of a frame, `internal` where it does not keep the
/// protocol. After an error the channel is of no more use.
public final class FrameChannel: Sendable {
  private let socket: StreamSocket
  private let sending = Mutex<Void>(())
  private let receiving = Mutex<Void>(())

  /// Takes over the descriptor, which is closed with the channel.
  public init(adopting descriptor: Int32) { socket = StreamSocket(adopting: descriptor) }

  public var descriptor: Int32 { socket.descriptor }

  /// Ends both directions: the peer reads the end, and threads that are blocked in a call here wake.
  public func shutDown() { socket.shutDown() }

  public func send(_ message: some Encodable) throws {
    let payload: Data
    do { payload = try JSONEncoder().encode(message) } catch {
      throw Fault(.internalError, "could not encode a message for the channel: \(error)")
    }
    try payload.withUnsafeBytes { try write(.message, $0) }
  }

  public func send(secret: SecretBytes) throws {
    try secret.withBytes { (bytes) throws(any Error) in try write(.secret, bytes) }
  }

  /// The next frame; nil at the end, where the peer has closed between two frames.
  public func receive() throws -> Frame? {
    try receiving.withLock { _ in try readFrame() }
  }

  /// The next message of a kind of conversation that has no secrets.
  public func receive<Message: Decodable>(_ type: Message.Type) throws -> Message? {
    switch try receive() {
    case nil: return nil
    case .secret: throw Fault(.internalError, "a secret frame came where a message was expected")
    case .message(let bytes): return try Self.decode(type, bytes)
    }
  }

  public static func decode<Message: Decodable>(_ type: Message.Type, _ bytes: [UInt8]) throws -> Message {
    do { return try JSONDecoder().decode(type, from: Data(bytes)) } catch {
      throw Fault(
        .internalError, "a message on the channel is not a \(type): \(error)",
        hint: "daemon and worker must be of one version")
    }
  }

  private func write(_ kind: Frame.Kind, _ payload: UnsafeRawBufferPointer) throws {
    guard payload.count <= Frame.largestPayload else {
      throw Fault(
        .internalError, "a frame of \(payload.count) bytes is longer than the limit of \(Frame.largestPayload)")
    }
    let header = Frame.header(kind, payload: payload.count)
    let failure: (any Error)? = sending.withLock { _ in
      do {
        try header.withUnsafeBytes { try socket.write($0) }
        try socket.write(payload)
        return nil
      } catch {
        return error
      }
    }
    if let failure { throw Fault(.io, "could not send on the channel: \(failure)") }
  }

  private func readFrame() throws -> Frame? {
    var header = [UInt8](repeating: 0, count: Frame.headerSize)
    let count = try header.withUnsafeMutableBytes { try read(into: $0) }
    if count == 0 { return nil }
    guard count == header.count else { throw Self.cutOff }
    let length = header[..<4].reversed().reduce(0) { $0 << 8 | Int($1) }
    guard length <= Frame.largestPayload else {
      throw Fault(
        .internalError, "a frame announces \(length) bytes, more than the limit of \(Frame.largestPayload)")
    }
    switch Frame.Kind(rawValue: header[4]) {
    case .message:
      return .message(
        try [UInt8](unsafeUninitializedCapacity: length) { buffer, filled in
          try fill(UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<length]))
          filled = length
        })
    case .secret:
      return .secret(try SecretBytes(count: length) { (buffer) throws(any Error) in try fill(buffer) })
    case nil:
      throw Fault(.internalError, "a frame on the channel has the unknown kind \(header[4])")
    }
  }

  private func fill(_ buffer: UnsafeMutableRawBufferPointer) throws {
    guard try read(into: buffer) == buffer.count else { throw Self.cutOff }
  }

  private func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    do throws(SystemError) { return try socket.read(into: buffer) } catch {
      throw Fault(.io, "could not receive on the channel: \(error)")
    }
  }

  private static let cutOff = Fault(.io, "the channel ended in the middle of a frame")
}
