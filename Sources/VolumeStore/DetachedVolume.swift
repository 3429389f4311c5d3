import LinuxSystem

/// A volume that nobody has open, whose chain of layers is to be changed. Holds `volume.lock` exclusively.
public final class DetachedVolume {
  public let folder: VolumeFolder
  public internal(set) var tree: VolumeTree
  private let lock: OpenFile

  /// Takes the lock, and finishes or takes back what a crash has left half done.
  public init(_ folder: VolumeFolder) throws {
    guard try FileStatus.of(folder(LayerName.record)) != nil else {
      throw VolumeError(.notFound, "there is no volume in \(folder.path)")
    }
    lock = try folder.lock(LayerName.lock)
    self.folder = folder
    tree = try VolumeTree.read(folder)
    guard !tree.volume.isRebuilding else {
      throw VolumeError(.conflict, "the volume in \(folder.path) is an incomplete copy", hint: "restore it again")
    }
    try recover()
  }

  /// Freezes the head under a name. Order: the new head, a second name for the old one with the snapshot's record, the
  /// volume's record (from here on it is done), the end of the old head's names. See longhorn-format, 14.4.
  @discardableResult
  public func snapshot(
    _ name: String, isUserCreated: Bool = true, created: String = LayerRecord.now(), labels: [String: String]? = nil
  ) throws -> LayerRecord {
    guard LayerName.isValid(snapshot: name) else {
      throw VolumeError(
        .invalid, "no snapshot can have the name \(name)", hint: "take letters, digits, dots, dashes and underscores")
    }
    try recover()
    let layer = LayerName.ofSnapshot(name)
    guard tree.snapshots[layer] == nil, try FileStatus.of(folder(layer), followLinks: false) == nil else {
      throw VolumeError(.conflict, "the volume in \(folder.path) has a snapshot \(name) already")
    }
    // The head and the new snapshot come on top of them.
    guard try tree.chain(from: tree.volume.parent).count + 2 <= Volume.mostLayers else {
      throw VolumeError(
        .conflict, "the volume in \(folder.path) has \(Volume.mostLayers) layers, which is the most",
        hint: "delete snapshots to merge some")
    }
    let old = tree.volume.head
    try folder.openLayer(old).sync()
    var record = LayerRecord(name: layer, parent: tree.volume.parent)
    record.isUserCreated = isUserCreated
    record.created = created
    record.labels = labels
    var volume = tree.volume
    volume.head = try newHead(over: layer)
    volume.parent = layer
    volume.discarded = ""
    try folder.link(old, as: layer)
    try folder.write(LayerName.record(of: layer), record.bytes)
    try folder.sync()
    try folder.write(LayerName.record, volume.bytes)
    tree = try VolumeTree.read(folder)
    try removeLayer(old)
    return record
  }

  func newHead(over layer: String) throws -> String {
    let head = LayerName.head(after: tree.volume.head)
    _ = try folder.createLayer(head, size: tree.volume.size)
    var record = LayerRecord(name: head, parent: layer)
    record.created = LayerRecord.now()
    try folder.write(LayerName.record(of: head), record.bytes)
    return head
  }

  func removeLayer(_ layer: String) throws {
    try folder.remove(layer)
    // A file without its record is found by no later removal, and in the way of its name.
    try folder.sync()
    try folder.remove(LayerName.record(of: layer))
    try folder.sync()
  }

  /// `volume.meta` alone says what is true. A snapshot whose file is still the head's was not finished; a head that it
  /// does not name is none any more, or none yet.
  func recover() throws {
    tree = try VolumeTree.read(folder)
    let names = try Folder.list(folder.path)
    for name in names where name.hasSuffix(".tmp") { try folder.remove(name) }
    let head = try folder.openLayer(tree.volume.head).inode
    let discarded = tree.volume.discarded
    if discarded != tree.volume.head, names.contains(discarded) || names.contains(LayerName.record(of: discarded)) {
      try removeLayer(discarded)
    }
    var inodes: Set<UInt64> = [head]
    for layer in names where LayerName.snapshot(of: layer) != nil {
      let inode = try folder.openLayer(layer).inode
      if inode == head {
        try removeLayer(layer)
        tree.snapshots[layer] = nil
      }
      inodes.insert(inode)
    }
    for name in names where LayerName.isHead(name) && name != tree.volume.head && name != discarded {
      // One that holds data which no snapshot has was not left by this code: it is kept, out of the way.
      let stray = try folder.openLayer(name)
      let isEmpty = try stray.runs(offset: 0, length: max(1, stray.file.size()), limit: 1).runs.isEmpty
      if isEmpty || inodes.contains(stray.inode) {
        try removeLayer(name)
      } else {
        try folder.rename(name, to: "\(name).stray.\(WallClock.nanoseconds())")
      }
    }
  }
}
