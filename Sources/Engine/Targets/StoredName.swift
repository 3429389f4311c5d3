import DroverModel

/// What a backup is called in its store.
enum StoredName: Sendable, Hashable, Comparable {
  case image(String)
  case backup(String, volume: String)

  init?(_ record: [String: JSONValue]) {
    if let image = record["backingImage"]?.string {
      self = .image(image)
    } else if let backup = record["backup"]?.string, let volume = record["volumeName"]?.string {
      self = .backup(backup, volume: volume)
    } else {
      return nil
    }
  }

  /// Where the local index has it.
  var path: String {
    switch self {
    case .image(let name): "backing-images/\(name)"
    case .backup(let name, let volume): "volumes/\(volume)/\(name)"
    }
  }

  static func < (left: Self, right: Self) -> Bool { left.path < right.path }
}

/// A backup that a look has found new or changed.
struct FoundBackup: Sendable {
  var name: StoredName
  var version: String
  /// With the names of the status of its kind.
  var fields: [String: JSONValue]
}
