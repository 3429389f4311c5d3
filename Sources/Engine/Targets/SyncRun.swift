import DroverModel

/// A look at what a target's store holds, while it is under way: what was known when it began, what was found so far, and
/// what Drover itself has changed meanwhile.
struct SyncRun: Sendable {
  let target: String
  let url: TargetURL
  /// By the image's name in the store: the version that the catalog's record is of, empty where that is not known.
  let seen: [String: String]
  /// Paths of the local index.
  let index: Set<String>
  private(set) var found: [FoundBackup] = []
  private(set) var gone: [String] = []
  /// Images of which a backup was being made or deleted since: what was found of them may be older than that.
  var touched: Set<String> = []

  init(target: String, url: TargetURL, seen: [String: String], index: Set<String>) {
    self.target = target
    self.url = url
    self.seen = seen
    self.index = index
  }

  /// What the stage reads in its folder.
  var file: [UInt8] {
    get throws { Array(try Column.text(["images": seen]).utf8) }
  }

  /// Takes a record of the stage.
  mutating func note(_ kind: String, _ value: JSONValue) {
    guard let image = value["backingImage"]?.string, let fields = value.object else { return }
    switch kind {
    case "image": found.append(FoundBackup(image: image, version: fields["version"]?.string ?? "", fields: fields))
    case "gone": gone.append(image)
    default: break
    }
  }

  /// Where the local index has an image.
  static func path(ofImage name: String) -> String { "backing-images/\(name)" }
}

/// An image's backup that a look has found new or changed.
struct FoundBackup: Sendable {
  var image: String
  var version: String
  /// With the names of a BackupBackingImage's status.
  var fields: [String: JSONValue]
}
