import ControlAPI
import DroverModel
import Hummingbird

/// An image's bytes, in and out.
enum ContentRoutes {
  static let all = [
    Route(.put, APIPath.content(image: "{name}"), query: [APIQuery.size]) { call in
      let size = try contentSize(call)
      let transfer = try await call.engine.startUpload(image: call["name"], length: size, by: call.caller)
      return .json(try await Upload(transfer: transfer, size: size, call: call).run())
    },
    Route(.get, APIPath.content(image: "{name}")) { call in
      let transfer = try await call.engine.startSave(image: call["name"], by: call.caller)
      return try Save(transfer: transfer, call: call).response
    },
  ]

  /// From the query or the Content-Length, which must agree; nil for a body whose end alone tells.
  private static func contentSize(_ call: Call) throws -> Int64? {
    let stated = try call.number(APIQuery.size)
    let length = call.request.contentLength
    if let stated, let length, stated != length {
      throw Fault(.invalid, "the query parameter size is \(stated), but the Content-Length is \(length)")
    }
    return stated ?? length
  }
}
