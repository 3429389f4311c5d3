public import StageKit

/// Source `download`: an image file behind an `http` or `https` address, read in order.
///
/// A connection that breaks is continued where it broke, as long as the server proves that it still has the same
/// content; otherwise the attempt ends as `source-changed`, and the next one begins anew. Nothing is ever mixed.
public enum Download: Stage {
  public static let name = "download"
  public static let summary = "reads an image file from a web server"
  public static let roles: Roles = .source
  public static let network = true
  public static let params: [String: Parameter]? = [
    "url": Parameter(required: true, "address of the file, http or https"),
    "ca-file": Parameter("PEM file on this host with certificates to trust beside the system's"),
    "data-engine": Parameter("Longhorn's; has no effect here"),
  ]

  /// Asks for the size: by HEAD, and where that says nothing of use, by a GET whose body is not read.
  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let server = try Server(request, host: host)
    // Opening has the patience that planning lacks: a slow beginner is no failure here.
    let patience = min(Double(request.stallSeconds), 10)
    do {
      let size = try server.sizeByHead(patience: patience) ?? server.sizeByGet(patience: patience)
      return Plan(size: size, dataSize: size)
    } catch let error as StageError where error.code == "stalled" {
      return Plan()
    }
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    try DownloadDevice(
      server: Server(request, host: host), host: host, token: request.checkpoint.flatMap { Token($0) },
      stallSeconds: Double(request.stallSeconds))
  }
}
