import StageKit

struct NewImageParams: Decodable {
  /// Where the finished image will lie, absolute, without a slash at the end.
  var folder: String
  var name: String
  var uuid: String
  var expectedChecksum: String?

  init(_ request: OpenRequest) throws {
    self = try request.params(as: NewImageParams.self)
    while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
    guard folder.hasPrefix("/"), folder != "/" else {
      throw StageError("invalid", "parameter folder must be an absolute path: \(folder)")
    }
    guard !uuid.isEmpty else { throw StageError("invalid", "parameter uuid must not be empty") }
  }

  /// The image file in its final place.
  var image: String { folder + "/backing" }
  /// Where the attempts work; its rename to `folder` is the commit.
  var partialFolder: String { folder + ".partial" }
}
