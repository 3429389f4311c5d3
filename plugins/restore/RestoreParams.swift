import Backupstore
import StageKit

/// What the stage is opened with.
struct RestoreParams {
  let backup: Backup
  let view: View
  let salvage: Bool
  /// See `ReadOptions`.
  let cacheBytes: Int

  enum Backup {
    case image(ImageBackupURL)
    case volume(VolumeBackupURL)
  }

  enum View: String {
    /// The bytes of what was backed up: of an image its file, of a volume its disk.
    case file
    /// The disk that a guest sees.
    case guest
    /// Of a volume what its backup has blocks of; all else is absent.
    case blocks
  }

  private static let mostCache = 1 << 30

  static let descriptions: [String: Parameter] = [
    "url": Parameter(required: true, "URL of the backup: TARGET?backingImage=NAME or TARGET?backup=NAME&volume=NAME"),
    "view": Parameter(
      "`file`, the bytes of what was backed up, by default; `guest`, the disk in them; or `blocks`, a volume's own blocks"
    ),
    "salvage": Parameter("true: what is lost reads as zeros, and a record of kind `damage` tells of it"),
    "cache": Parameter("bytes of blocks that are kept and read ahead, for a reader that goes about in small steps"),
  ]

  init(_ request: OpenRequest) throws {
    struct Given: Decodable {
      var url: String
      var view: String?
      var salvage: Bool?
      var cache: Int?
    }
    let given = try request.params(as: Given.self)
    backup =
      VolumeBackupURL.isMeant(by: given.url)
      ? .volume(try VolumeBackupURL(given.url)) : .image(try ImageBackupURL(given.url))
    guard let view = View(rawValue: given.view ?? View.file.rawValue) else {
      throw StageError("not-supported", "stage restore has no view \(given.view ?? ""), only file, guest and blocks")
    }
    if case (.blocks, .image) = (view, backup) {
      throw StageError("invalid", "the view `blocks` is one of a volume's backup")
    }
    self.view = view
    salvage = given.salvage ?? false
    cacheBytes = max(0, min(given.cache ?? 0, Self.mostCache))
  }

  var target: StoreURL {
    switch backup {
    case .image(let url): url.target
    case .volume(let url): url.target
    }
  }
}
