import DiskImage
import LinuxSystem
public import StageKit

/// An image file, raw or qcow2: read as a source, as it is or as a guest sees it, and made as a sink.
public enum CloneStage: Stage {
  public static let name = "clone"
  public static let summary = "an image file on this host"
  public static let roles: Roles = [.source, .sink]
  public static let parallel = true
  public static let params: [String: Parameter]? = [
    "path": Parameter("source: absolute path of the image file"),
    "view": Parameter("source: `file`, the bytes as they lie there, or `guest`, the disk in them; file by default"),
    "folder": Parameter("sink: absolute path of the image's folder, which must not be there yet"),
    "name": Parameter("sink: name of the image"),
    "uuid": Parameter("sink: identifier of the image"),
    "expectedChecksum": Parameter("sink: SHA-512 that the file must have, 128 hexadecimal digits"),
  ]

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    switch request.role {
    case .source: try plan(SourceParams(request))
    default: try NewImagePlan.make(NewImageParams(request), below: below)
    }
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    switch request.role {
    case .source: try open(SourceParams(request))
    default: try NewImage(NewImageParams(request), request: request, host: host)
    }
  }

  private static func plan(_ params: SourceParams) throws -> Plan {
    let source = try SourceFile(params.path)
    return try isQcow2Guest(params, source) ? Qcow2Source.plan(source) : ImageFileSource.plan(source)
  }

  private static func open(_ params: SourceParams) throws -> any Device {
    let source = try SourceFile(params.path)
    return try isQcow2Guest(params, source) ? Qcow2Source(source) : ImageFileSource(source)
  }

  /// A file that begins like qcow2 but can't be read as such is refused, and not taken for raw: what was meant as a disk
  /// must not go on as the file around it.
  private static func isQcow2Guest(_ params: SourceParams, _ source: SourceFile) throws -> Bool {
    try params.view == .guest && Qcow2Image.hasMagic(source.file)
  }

  public static func discard(_ request: OpenRequest, host: any Host) throws {
    guard request.role == .sink else { return }
    let params = try NewImageParams(request)
    try Folder.removeTree(params.partialFolder)
    try FinishedImage.remove(params, madeBy: request.job)
  }
}
