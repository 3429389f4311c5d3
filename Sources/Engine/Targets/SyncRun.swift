import DroverModel

/// A look at what a target's store holds, while it is under way: what was known when it began, what was found so far, and
/// what Drover itself has changed meanwhile.
struct SyncRun: Sendable {
  let target: String
  let url: TargetURL
  /// The version that the catalog's record is of, empty where that is not known.
  let seen: [StoredName: String]
  /// Paths of the local index.
  let index: Set<String>
  private(set) var found: [FoundBackup] = []
  private(set) var gone: [StoredName] = []
  /// Images of which a backup was being made or deleted since: what was found of them may be older than that.
  var touched: Set<StoredName> = []

  init(target: String, url: TargetURL, seen: [StoredName: String], index: Set<String>) {
    self.target = target
    self.url = url
    self.seen = seen
    self.index = index
  }

  /// What the stage reads in its folder.
  var file: [UInt8] {
    get throws {
      var names: [String: [String: String]] = ["images": [:], "backups": [:]]
      for (name, version) in seen {
        switch name {
        case .image(let image): names["images"]?[image] = version
        case .backup(let backup, let volume): names["backups"]?["\(volume)/\(backup)"] = version
        }
      }
      return Array(try Column.text(names).utf8)
    }
  }

  /// Takes a record of the stage.
  mutating func note(_ kind: String, _ value: JSONValue) {
    guard let fields = value.object, let name = StoredName(fields) else { return }
    switch kind {
    case "image", "backup":
      found.append(FoundBackup(name: name, version: fields["version"]?.string ?? "", fields: fields))
    case "gone": gone.append(name)
    default: break
    }
  }
}
