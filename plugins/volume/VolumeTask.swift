import FoundationEssentials
public import StageKit
import VolumeStore

/// Task: makes a volume or takes it away, changes the snapshots of one that is not attached, or tells what there is.
public enum VolumeTask: Stage {
  public static let name = "volume-task"
  public static let summary = "make or remove a volume, and change or list its snapshots"
  public static let roles: Roles = .task
  public static let params: [String: Parameter]? = [
    "folder": Parameter(required: true, "absolute path of the volume's folder"),
    "operation": Parameter(required: true, "create, remove, snapshot, delete-snapshot, revert or list"),
    "size": Parameter("create: bytes, rounded up to 2 MiB"),
    "image": Parameter("create: absolute path of the backing image's file"),
    "encrypted": Parameter("create: true where the volume will hold ciphertext"),
    "uuid": Parameter("create: which volume it is"),
    "name": Parameter("snapshot, delete-snapshot, revert: the snapshot's name"),
    "user-created": Parameter("snapshot: whether a user asked for it; true by default"),
    "labels": Parameter("snapshot: an object of strings"),
  ]

  private struct Params: Decodable {
    var folder: String
    var operation: Operation
    var size: UInt64?
    var image: String?
    var encrypted: Bool?
    var uuid: String?
    var name: String?
    var userCreated: Bool?
    var labels: [String: String]?

    enum Operation: String, Decodable {
      case create, remove, snapshot, revert, list
      case deleteSnapshot = "delete-snapshot"
    }
    enum CodingKeys: String, CodingKey {
      case folder, operation, size, image, encrypted, uuid, name, labels
      case userCreated = "user-created"
    }
  }

  public static func run(_ request: OpenRequest, host: any Host) throws {
    let params = try request.params(as: Params.self)
    guard params.folder.hasPrefix("/") else {
      throw StageError("invalid", "parameter folder must be absolute: \(params.folder)")
    }
    let folder = VolumeFolder(params.folder)
    try asStageError {
      switch params.operation {
      case .create:
        guard let size = params.size else { throw StageError("invalid", "parameter size is missing") }
        try VolumeCreation.create(
          folder, size: size, image: params.image, isEncrypted: params.encrypted ?? false, uuid: params.uuid ?? "",
          job: request.job)
      case .remove: return try VolumeRemoval.remove(folder)
      case .snapshot:
        try DetachedVolume(folder)
          .snapshot(try named(params), isUserCreated: params.userCreated ?? true, labels: params.labels)
      case .deleteSnapshot: try DetachedVolume(folder).delete(snapshot: try named(params))
      case .revert: try DetachedVolume(folder).revert(to: try named(params))
      case .list: break
      }
      let tree = try VolumeTree.read(folder)
      try emit("volume", VolumeDescription(tree), host)
      for record in tree.snapshots.values.sorted(by: { $0.name < $1.name }) {
        try emit("snapshot", SnapshotDescription(record, in: tree, folder), host)
      }
    }
  }

  private static func named(_ params: Params) throws -> String {
    guard let name = params.name else { throw StageError("invalid", "parameter name is missing") }
    return name
  }

  private static func emit(_ kind: String, _ record: some Encodable, _ host: any Host) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    host.emit(kind, json: String(decoding: try encoder.encode(record), as: UTF8.self))
  }
}
