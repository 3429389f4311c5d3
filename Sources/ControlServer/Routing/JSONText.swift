import ControlAPI
import Hummingbird
import NIOCore

/// JSON as the API writes it: keys sorted, slashes as they are, a line end behind each value.
enum JSONText {
  static func line(_ value: some Encodable) -> ByteBuffer {
    do {
      return ByteBuffer(string: try APIJSON.encode(value) + "\n")
    } catch {
      // Only a number that is not finite can't be written; none of the API's types has one.
      preconditionFailure("an answer that is not JSON: \(error)")
    }
  }
}

extension Response {
  static func json(_ list: ResourceList) throws -> Response {
    var bytes = try list.encoded()
    bytes.append(UInt8(ascii: "\n"))
    return Response(
      status: .ok, headers: [.contentType: "application/json"], body: .init(byteBuffer: ByteBuffer(bytes: bytes)))
  }

  static func json(_ value: some Encodable, status: HTTPResponse.Status = .ok) -> Response {
    Response(
      status: status, headers: [.contentType: "application/json"], body: .init(byteBuffer: JSONText.line(value)))
  }
}
