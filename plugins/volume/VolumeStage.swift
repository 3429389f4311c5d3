public import StageKit
import VolumeStore

/// Source: a snapshot of a volume, or its head while nobody writes to it. Sink: a new volume that is restored.
public enum VolumeStage: Stage {
  public static let name = "volume"
  public static let summary = "a volume of this host, in Longhorn's replica layout"
  public static let roles: Roles = [.source, .sink]
  public static let parallel = true
  public static let params: [String: Parameter]? = [
    "folder": Parameter(required: true, "absolute path of the volume's folder"),
    "snapshot": Parameter("name of the snapshot; for a source without it the head, while the volume is not attached"),
    "since": Parameter("name of an older snapshot: what its layers hold counts as absent"),
    "view": Parameter("`own`, what the volume's layers hold, by default; or `merged`, the disk that a guest sees"),
    "image": Parameter("absolute path of the backing image's file, instead of what the volume says"),
    "volume-uuid": Parameter("source: what the volume must be, where it says so itself"),
    "size": Parameter("sink: bytes, a multiple of 4096"),
    "encrypted": Parameter("sink: true where the volume holds ciphertext"),
    "created": Parameter("sink: when the snapshot was made, RFC 3339"),
    "labels": Parameter("sink: the snapshot's, an object of strings"),
    "uuid": Parameter("sink: which volume it is"),
  ]

  struct Params: Decodable {
    var folder: String
    var snapshot: String?
    var since: String?
    var view: View?
    var image: String?
    var volumeUUID: String?
    var size: UInt64?
    var encrypted: Bool?
    var created: String?
    var labels: [String: String]?
    var uuid: String?

    enum View: String, Decodable { case own, merged }
    enum CodingKeys: String, CodingKey {
      case folder, snapshot, since, view, image, size, encrypted, created, labels, uuid
      case volumeUUID = "volume-uuid"
    }
  }

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    if request.role == .sink { return try planOfNew(request, below) }
    let device = try source(request)
    return Plan(size: device.size, dataSize: device.dataSize, lock: "the layers of \(try params(request).folder)")
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    guard request.role == .sink else { return try source(request) }
    let params = try params(request)
    let continuing = request.checkpoint.map { String(decoding: $0, as: UTF8.self) }
    return try asStageError {
      RestoredVolume(
        try VolumeRestoration(
          VolumeFolder(params.folder), try wanted(params, job: request.job), continuing: continuing))
    }
  }

  public static func discard(_ request: OpenRequest, host: any Host) throws {
    guard request.role == .sink else { return }
    try asStageError { try VolumeRestoration.discard(VolumeFolder(try params(request).folder), job: request.job) }
  }

  /// What is not backed up takes no space; over an image zeros do.
  private static func planOfNew(_ request: OpenRequest, _ source: Plan?) throws -> Plan {
    let params = try params(request)
    let wanted = try wanted(params, job: request.job)
    let place = params.folder.split(separator: "/").dropLast().joined(separator: "/")
    return Plan(size: wanted.size, space: min(source?.dataSize ?? wanted.size, wanted.size), spacePath: "/" + place)
  }

  private static func wanted(_ params: Params, job: String) throws -> VolumeRestoration.Wanted {
    guard let size = params.size else { throw StageError("invalid", "parameter size is missing") }
    guard let snapshot = params.snapshot, !snapshot.isEmpty else {
      throw StageError("invalid", "parameter snapshot is missing: the backup does not say of which one it is")
    }
    var wanted = VolumeRestoration.Wanted(
      size: size, image: params.image, snapshot: snapshot, created: params.created ?? "", job: job)
    wanted.isEncrypted = params.encrypted ?? false
    wanted.labels = params.labels
    wanted.uuid = params.uuid ?? ""
    return wanted
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
