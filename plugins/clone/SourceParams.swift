import StageKit

struct SourceParams: Decodable {
  /// Absolute.
  var path: String
  var view: String?

  init(_ request: OpenRequest) throws {
    self = try request.params(as: SourceParams.self)
    guard path.hasPrefix("/") else { throw StageError("invalid", "parameter path must be absolute: \(path)") }
    guard (view ?? "file") == "file" else {
      throw StageError("not-supported", "stage clone has no view \(view ?? "") of an image, only file")
    }
  }
}
