import LinuxSystem
public import StageKit

/// Source: the bytes that a client of the daemon streams in, once and in order.
///
/// The stream comes by a descriptor that the daemon opened and that belongs to this stage from `open` on. What has gone
/// by can't be read again, so every way for it to fail is `upload-interrupted`, which is never tried again.
public enum UploadStage: Stage {
  public static let name = "upload"
  public static let summary = "a stream from a client, read once"
  public static let roles: Roles = .source
  public static let params: [String: Parameter]? = [
    "descriptor": Parameter(required: true, "number of the open descriptor that the bytes come from"),
    "size": Parameter("bytes that will come; null where the client can't tell"),
  ]

  struct Params: Decodable {
    var descriptor: Int32
    var size: UInt64?
  }

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let params = try request.params(as: Params.self)
    return Plan(size: params.size, dataSize: params.size)
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    let params = try request.params(as: Params.self)
    let stream = try ClientStream(
      descriptor: params.descriptor, patienceSeconds: request.stallSeconds * ClientStream.patience, host: host)
    return UploadedStream(stream, size: params.size)
  }
}

final class UploadedStream: Device {
  private let stream: ClientStream
  private let size: UInt64?
  private var position: UInt64 = 0

  init(_ stream: ClientStream, size: UInt64?) {
    self.stream = stream
    self.size = size
  }

  func info() throws -> DeviceInfo {
    DeviceInfo(size: size, flags: [.sequential, .noExtents])
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    guard offset == position else {
      throw StageError("upload-interrupted", "an upload can't go on at byte \(offset), it is at byte \(position)")
    }
    let count = try stream.read(into: buffer)
    position += UInt64(count)
    guard let size else { return count }
    guard count == buffer.count else {
      throw StageError("upload-interrupted", "the upload ended after \(position) of \(size) bytes")
    }
    if position == size { try stream.expectEnd(after: size) }
    return count
  }
}
