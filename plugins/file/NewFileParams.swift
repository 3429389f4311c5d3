import LinuxSystem
import StageKit

struct NewFileParams: Decodable {
  /// Absolute.
  var path: String
  var replace: Bool?
  var hash: Bool?

  init(_ request: OpenRequest) throws {
    self = try request.params(as: NewFileParams.self)
    guard path.hasPrefix("/"), !path.hasSuffix("/") else {
      throw StageError("invalid", "parameter path must be the absolute path of a file: \(path)")
    }
  }

  /// Where the bytes lie until they are complete: a name that is nobody else's, beside the file, so that its rename is
  /// one step. One that a crash left is used again.
  var partial: String {
    let folder = Folder.parent(of: path)
    let name = path.split(separator: "/").last ?? ""
    return "\(folder == "/" ? "" : folder)/.\(name).drover-partial"
  }

  /// Throws `conflict` where the place is taken, `not-found` where there is no folder for it.
  func checkPlace() throws {
    let folder = Folder.parent(of: path)
    guard try FileStatus.of(folder)?.isFolder == true else {
      throw StageError("not-found", "there is no folder \(folder) for the new file")
    }
    guard let there = try FileStatus.of(path, followLinks: false) else { return }
    guard !there.isFolder else { throw StageError("conflict", "\(path) is a folder") }
    guard replace == true else { throw Self.taken(path) }
  }

  static func taken(_ path: String) -> StageError {
    StageError("conflict", "\(path) is there already", hint: "name another file, or give leave to replace it")
  }
}
