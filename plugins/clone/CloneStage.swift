import LinuxSystem
public import StageKit

/// An image file as it is, raw or qcow2: read as a source, made as a sink.
public enum CloneStage: Stage {
  public static let name = "clone"
  public static let summary = "an image file on this host, byte for byte"
  public static let roles: Roles = [.source, .sink]
  public static let parallel = true
  public static let params: [String: Parameter]? = [
    "path": Parameter("source: absolute path of the image file"),
    "view": Parameter("source: `file`, the bytes as they lie there"),
    "folder": Parameter("sink: absolute path of the image's folder, which must not be there yet"),
    "name": Parameter("sink: name of the image"),
    "uuid": Parameter("sink: identifier of the image"),
    "expectedChecksum": Parameter("sink: SHA-512 that the file must have, 128 hexadecimal digits"),
  ]

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    switch request.role {
    case .source: try ImageFileSource.plan(SourceParams(request))
    default: try NewImagePlan.make(NewImageParams(request), below: below)
    }
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    switch request.role {
    case .source: try ImageFileSource(SourceParams(request))
    default: try NewImage(NewImageParams(request), request: request, host: host)
    }
  }

  public static func discard(_ request: OpenRequest, host: any Host) throws {
    guard request.role == .sink else { return }
    let params = try NewImageParams(request)
    try Folder.removeTree(params.partialFolder)
    try FinishedImage.remove(params, madeBy: request.job)
  }
}
