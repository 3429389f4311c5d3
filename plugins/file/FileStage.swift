import LinuxSystem
public import StageKit

/// Sink: a plain file that is there only when it is complete.
public enum FileStage: Stage {
  public static let name = "file"
  public static let summary = "a new file on this host, without anything beside it"
  public static let roles: Roles = .sink
  public static let parallel = true
  public static let params: [String: Parameter]? = [
    "path": Parameter(required: true, "absolute path of the file"),
    "replace": Parameter("true: a file that is there already is replaced in the end"),
    "hash": Parameter("true: the SHA-512 of the bytes is wanted"),
  ]

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let params = try NewFileParams(request)
    try params.checkPlace()
    let taken = try FileStatus.of(params.partial, followLinks: false)?.allocatedBytes ?? 0
    // What has no size yet is not counted: it grows while it comes.
    let data = below?.dataSize ?? 0
    return Plan(
      size: below?.size, dataSize: below?.dataSize, space: data - min(data, taken),
      spacePath: Folder.parent(of: params.path), filePath: params.path)
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    let params = try NewFileParams(request)
    try params.checkPlace()
    return try NewFile(params, continuing: request.checkpoint.map { String(decoding: $0, as: UTF8.self) })
  }

  public static func discard(_ request: OpenRequest, host: any Host) throws {
    let params = try NewFileParams(request)
    guard let status = try FileStatus.of(params.partial, followLinks: false), status.isRegular else { return }
    let file = try OpenFile.open(params.partial, .readWrite, followLinks: false)
    // One that is locked is another job's: it came first, and this one wrote nothing.
    guard try file.tryLockExclusive(), try NewFile.isNamed(file, params.partial) else { return }
    try Folder.remove(file: params.partial)
  }
}
