import LinuxSystem
import VolumeStore

/// A volume as a record tells of it.
struct VolumeDescription: Encodable {
  /// Bytes.
  var size: UInt64
  var head: String
  /// Names of the snapshots below the head, newest first.
  var chain: [String]
  var backingImage: String
  var encrypted: Bool
  var uuid: String

  init(_ tree: VolumeTree) throws {
    size = tree.volume.size
    head = tree.volume.head
    chain = try tree.chain(from: tree.volume.parent).compactMap(LayerName.snapshot)
    backingImage = tree.volume.backingFilePath
    encrypted = tree.volume.isEncrypted
    uuid = tree.volume.uuid
  }
}

/// A snapshot as a record tells of it.
struct SnapshotDescription: Encodable {
  var name: String
  /// Empty for one that lies on no other.
  var parent: String
  /// Snapshots that lie on it, and `volume-head` where the head does.
  var children: [String]
  var created: String
  var removed: Bool
  var userCreated: Bool
  /// Bytes that its layer has on disk.
  var size: UInt64
  var labels: [String: String]

  init(_ record: LayerRecord, in tree: VolumeTree, _ folder: VolumeFolder) throws {
    name = LayerName.snapshot(of: record.name) ?? record.name
    parent = LayerName.snapshot(of: record.parent) ?? ""
    children = tree.children(of: record.name).compactMap(LayerName.snapshot)
    if tree.volume.parent == record.name { children.append("volume-head") }
    created = record.created
    removed = record.isRemoved
    userCreated = record.isUserCreated
    size = try FileStatus.of("\(folder.path)/\(record.name)", followLinks: false)?.allocatedBytes ?? 0
    labels = record.labels ?? [:]
  }
}
