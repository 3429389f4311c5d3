import DroverModel

/// What a task on a volume has told of its layers, while it runs.
struct LayerNotes: Sendable {
  /// With the names of a Volume's status: `size`, `actualSize`, `chain`.
  private(set) var volume: [String: JSONValue]?
  /// All that the volume has, by name.
  private(set) var snapshots: [String: [String: JSONValue]] = [:]

  mutating func note(_ kind: String, _ value: JSONValue) {
    guard let fields = value.object else { return }
    switch kind {
    case "volume": volume = fields
    case "snapshot":
      if let name = fields["name"]?.string { snapshots[name] = fields }
    default: break
    }
  }
}

/// What becomes of a volume's object and of those of its snapshots, in one commit.
struct LayerChange {
  var records: [ResourceRecord] = []
  var removed: [ResourceKey] = []

  var isEmpty: Bool { records.isEmpty && removed.isEmpty }
}
