import StageKit

struct SourceParams: Decodable {
  /// Absolute.
  var path: String
  var view: View

  enum View: String, Decodable {
    /// The file's bytes as they are.
    case file
    /// The disk that a guest sees.
    case guest
  }

  init(_ request: OpenRequest) throws {
    struct Given: Decodable {
      var path: String
      var view: String?
    }
    let given = try request.params(as: Given.self)
    path = given.path
    guard path.hasPrefix("/") else { throw StageError("invalid", "parameter path must be absolute: \(path)") }
    guard let view = View(rawValue: given.view ?? View.file.rawValue) else {
      throw StageError(
        "not-supported", "stage clone has no view \(given.view ?? "") of an image, only file and guest")
    }
    self.view = view
  }
}
