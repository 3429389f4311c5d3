public import StageKit
import VolumeStore

/// Source: a snapshot of a volume, or its head while nobody writes to it.
public enum VolumeStage: Stage {
  public static let name = "volume"
  public static let summary = "a volume of this host, in Longhorn's replica layout"
  public static let roles: Roles = .source
  public static let parallel = true
  public static let params: [String: Parameter]? = [
    "folder": Parameter(required: true, "absolute path of the volume's folder"),
    "snapshot": Parameter("name of the snapshot; without it the head, while the volume is not attached"),
    "since": Parameter("name of an older snapshot: what its layers hold counts as absent"),
    "view": Parameter("`own`, what the volume's layers hold, by default; or `merged`, the disk that a guest sees"),
    "image": Parameter("absolute path of the backing image's file, instead of what the volume says"),
    "volume-uuid": Parameter("what the volume must be, where it says so itself"),
  ]

  struct Params: Decodable {
    var folder: String
    var snapshot: String?
    var since: String?
    var view: View?
    var image: String?
    var volumeUUID: String?

    enum View: String, Decodable { case own, merged }
    enum CodingKeys: String, CodingKey {
      case folder, snapshot, since, view, image
      case volumeUUID = "volume-uuid"
    }
  }

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let device = try source(request)
    return Plan(size: device.size, dataSize: device.dataSize, lock: "the layers of \(try params(request).folder)")
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    try source(request)
  }

  static func params(_ request: OpenRequest) throws -> Params {
    let params = try request.params(as: Params.self)
    guard params.folder.hasPrefix("/") else {
      throw StageError("invalid", "parameter folder must be absolute: \(params.folder)")
    }
    return params
  }

  private static func source(_ request: OpenRequest) throws -> VolumeSource {
    let params = try params(request)
    guard !request.writable else {
      throw StageError("not-supported", "stage volume does not open a volume to be written yet")
    }
    return try asStageError {
      let view = try VolumeView.open(
        VolumeFolder(params.folder), snapshot: params.snapshot, since: params.since, image: params.image)
      if let wanted = params.volumeUUID, !wanted.isEmpty, !view.record.uuid.isEmpty, view.record.uuid != wanted {
        throw StageError("conflict", "\(params.folder) holds the volume \(view.record.uuid), not \(wanted)")
      }
      return try VolumeSource(view, isMerged: params.view == .merged)
    }
  }
}
