import LinuxSystem

extension DetachedVolume {
  /// The head begins anew over a snapshot; what was written since the newest one is given up. Order: the new head, the
  /// volume's record (from here on it is done), the end of the old head. See longhorn-format, 14.4.
  public func revert(to name: String) throws {
    try recover()
    let layer = LayerName.ofSnapshot(name)
    guard let record = tree.snapshots[layer], !record.isRemoved else { throw noSnapshot(name) }
    guard try tree.chain(from: layer).count < Volume.mostLayers else {
      throw VolumeError(
        .conflict, "the volume in \(folder.path) has \(Volume.mostLayers) layers below snapshot \(name)")
    }
    let old = tree.volume.head
    var volume = tree.volume
    volume.head = try newHead(over: layer)
    volume.parent = layer
    volume.discarded = old
    try folder.sync()
    try folder.write(LayerName.record, volume.bytes)
    tree = try VolumeTree.read(folder)
    try removeLayer(old)
    // It is done: what a reader keeps from being merged now goes with the next change.
    do { try purge(try lockLayers()) } catch let error as VolumeError where error.code == .locked {}
  }

  /// Deletes a snapshot: at once where nothing lies on it, by merging it with the one snapshot that does, and otherwise as
  /// soon as only one or none is left. Until then its record says Removed. Nothing else's bytes change, whatever happens
  /// on the way, and another call goes on with what was left half done.
  ///
  /// Throws `locked`, with nothing changed, while somebody reads a snapshot.
  public func delete(snapshot name: String) throws {
    try recover()
    let layer = LayerName.ofSnapshot(name)
    guard var record = tree.snapshots[layer] else { throw noSnapshot(name) }
    let layers = try lockLayers()
    if !record.isRemoved {
      record.isRemoved = true
      try folder.write(LayerName.record(of: layer), record.bytes)
      tree.snapshots[layer] = record
    }
    try purge(layers)
  }

  private func lockLayers() throws -> OpenFile { try folder.lock(LayerName.layersLock) }

  private func noSnapshot(_ name: String) -> VolumeError {
    VolumeError(.notFound, "the volume in \(folder.path) has no snapshot \(name)")
  }

  /// Takes away every removed layer that can go, under the lock of the layers.
  private func purge(_ layers: OpenFile) throws {
    defer { withExtendedLifetime(layers) {} }
    while let (layer, child) = nextToGo() {
      if let child { try fold(child, into: layer) }
      try removeLayer(layer)
      try folder.remove(LayerName.checksum(of: layer))
      tree.snapshots[layer] = nil
    }
  }

  /// A removed layer, and the one snapshot that lies on it; nothing does where that is nil.
  private func nextToGo() -> (layer: String, child: String?)? {
    for record in tree.snapshots.values.filter(\.isRemoved).sorted(by: { $0.name < $1.name })
    where tree.volume.parent != record.name {
      let children = tree.children(of: record.name)
      if children.count < 2 { return (record.name, children.first) }
    }
    return nil
  }

  /// The child's data goes into the parent's file, which then takes the child's name. While it is copied the child hides
  /// what changes; after the rename both names are one file; at last the child lies on what the parent lay on. Preallocated
  /// extents of the child read as zeros and are written as such.
  private func fold(_ child: String, into layer: String) throws {
    guard let below = tree.snapshots[layer], var record = tree.snapshots[child] else { return }
    let upper = try folder.openLayer(child)
    let lower = try folder.openLayer(layer, writable: true)
    if upper.inode != lower.inode {
      let size = try upper.file.size()
      if try lower.file.size() < size { try lower.truncate(to: size) }
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: Self.piece, alignment: 4096)
      defer { buffer.deallocate() }
      try upper.forEachRun(offset: 0, length: size) { run in
        var at = run.offset
        while at < min(run.end, size) {
          let piece = UnsafeMutableRawBufferPointer(
            rebasing: buffer[..<Int(min(UInt64(Self.piece), run.end - at, size - at))])
          try upper.read(into: piece, at: at)
          try lower.write(UnsafeRawBufferPointer(piece), at: at)
          at += UInt64(piece.count)
        }
      }
      try lower.sync()
      try folder.remove(LayerName.checksum(of: child))
      try folder.link(layer, as: child + ".tmp")
      try folder.rename(child + ".tmp", to: child)
    }
    record.parent = below.parent
    try folder.write(LayerName.record(of: child), record.bytes)
    tree.snapshots[child] = record
  }

  private static let piece = 1 << 20
}
