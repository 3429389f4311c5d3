import LinuxSystem

/// A volume's records, read and found to be possible: every layer that another lies on is there, and no layer lies on
/// itself.
public struct VolumeTree: Sendable {
  public var volume: VolumeRecord
  /// Records of the snapshots, by the names of their layers' files.
  public var snapshots: [String: LayerRecord]

  /// Reads them while another program may take snapshots, but not while it removes any.
  public static func read(_ folder: VolumeFolder) throws -> VolumeTree {
    guard let bytes = try folder.read(LayerName.record) else {
      throw VolumeError(.notFound, "there is no volume in \(folder.path): it has no \(LayerName.record)")
    }
    let volume = try VolumeRecord(bytes, path: folder(LayerName.record))
    var snapshots: [String: LayerRecord] = [:]
    for file in try Folder.list(folder.path) where file.hasSuffix(".meta") {
      let layer = String(file.dropLast(".meta".count))
      guard LayerName.snapshot(of: layer) != nil, let bytes = try folder.read(file) else { continue }
      snapshots[layer] = try LayerRecord(bytes, name: layer, path: folder(file))
    }
    let tree = VolumeTree(volume: volume, snapshots: snapshots)
    _ = try tree.chain(from: volume.parent)
    return tree
  }

  /// The files from this snapshot's layer down to the oldest; none for an empty name.
  public func chain(from layer: String) throws -> [String] {
    var chain: [String] = []
    var seen: Set<String> = []
    var next = layer
    while !next.isEmpty {
      guard let record = snapshots[next] else {
        throw VolumeError(
          .badFormat, "the layer \(next) is missing, which \(chain.last ?? volume.head) lies on",
          hint: "what lay in it is lost; restore the volume from a backup")
      }
      guard seen.insert(next).inserted else {
        throw VolumeError(.badFormat, "the layers lie on each other in a circle: \(next) comes twice")
      }
      chain.append(next)
      // The head lies on top of them.
      guard chain.count < Volume.mostLayers else {
        throw VolumeError(
          .badFormat, "more than \(Volume.mostLayers) layers lie on each other", hint: "delete snapshots to merge some")
      }
      next = record.parent
    }
    return chain
  }

  /// The snapshots that lie directly on a layer, sorted; the head is not among them.
  public func children(of layer: String) -> [String] {
    snapshots.values.filter { $0.parent == layer }.map(\.name).sorted()
  }
}
