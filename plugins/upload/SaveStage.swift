import LinuxSystem
public import StageKit

/// Sink: streams an image's bytes out to a client of the daemon, in order, holes as zeros.
///
/// The descriptor belongs to this stage from `open` on. Its end of stream says nothing about success: the client
/// compares what it got with the size it was told.
public enum SaveStage: Stage {
  public static let name = "save"
  public static let summary = "a stream to a client, written once"
  public static let roles: Roles = .sink
  public static let params: [String: Parameter]? = [
    "descriptor": Parameter(required: true, "number of the open descriptor that the bytes go to")
  ]

  struct Params: Decodable {
    var descriptor: Int32
  }

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    _ = try request.params(as: Params.self)
    return Plan(size: below?.size, dataSize: below?.size)
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    let params = try request.params(as: Params.self)
    return SavedStream(
      try ClientStream(
        descriptor: params.descriptor, patienceSeconds: request.stallSeconds * ClientStream.patience, host: host))
  }
}

final class SavedStream: Device {
  private let stream: ClientStream
  private var position: UInt64 = 0

  init(_ stream: ClientStream) { self.stream = stream }

  func info() throws -> DeviceInfo {
    DeviceInfo(size: nil, flags: [.writable, .sequential])
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    guard offset == position else {
      throw StageError("upload-interrupted", "a stream can't go on at byte \(offset), it is at byte \(position)")
    }
    try stream.write(buffer)
    position += UInt64(buffer.count)
  }

  func commit(_ commit: Commit) throws {
    guard commit.size == position else {
      throw StageError("internal", "\(position) of \(commit.size) bytes were written to the stream")
    }
  }
}
