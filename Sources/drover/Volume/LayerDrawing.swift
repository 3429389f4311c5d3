import DroverModel

/// The layers of a volume for people: what is newer stands above what it lies on.
struct LayerDrawing {
  private let snapshots: [String: Snapshot.Status]
  /// Names of the snapshots below the head, the newest first.
  private let trunk: [String]
  private let image: String?

  /// - Parameters:
  ///   - snapshots: The objects of those that the volume has.
  ///   - chain: Of the volume's status: what stands there and is no snapshot is the head.
  init(_ snapshots: [Resource], chain: [String], image: String?) {
    var known: [String: Snapshot.Status] = [:]
    for snapshot in snapshots {
      known[snapshot.spec["snapshotName"]?.string ?? snapshot.metadata.name] = Snapshot.Status(snapshot.status)
    }
    self.snapshots = known
    self.image = image
    trunk = chain.filter { known[$0] != nil }
  }

  var text: String {
    var lines = ["head"]
    let branches = Dictionary(grouping: snapshots.keys.filter { !trunk.contains($0) }) { snapshots[$0]?.parent ?? "" }
    func branch(_ name: String, _ depth: Int, _ seen: Set<String>) {
      guard !seen.contains(name) else { return }
      lines.append(String(repeating: "| ", count: depth) + line(name))
      for child in (branches[name] ?? []).sorted() { branch(child, depth + 1, seen.union([name])) }
    }
    for name in trunk {
      for child in (branches[name] ?? []).sorted() { branch(child, 1, [name]) }
      lines.append(line(name))
    }
    let roots = snapshots.keys.filter { name in
      let parent = snapshots[name]?.parent ?? ""
      return !trunk.contains(name) && snapshots[parent] == nil
    }
    for root in roots.sorted() { branch(root, 1, []) }
    if let image { lines.append("backingimage/\(image)") }
    return lines.joined(separator: "\n") + "\n"
  }

  private func line(_ name: String) -> String {
    let status = snapshots[name]
    let details = [status?.creationTime, status?.size.map { ByteSize.text($0) }].compactMap(\.self)
    return name + (details.isEmpty ? "" : "  (\(details.joined(separator: ", ")))")
  }
}
