/// GET of `/v1/version`.
public struct VersionInfo: Sendable, Hashable, Codable {
  /// Of the daemon.
  public var version: String
  /// Major versions of the API: `v1`.
  public var apiVersions: [String]
  /// Major and minor of the plugin ABI: `1.0`.
  public var pluginABI: String

  public init(version: String, apiVersions: [String] = APIPath.supportedVersions, pluginABI: String = "1.0") {
    self.version = version
    self.apiVersions = apiVersions
    self.pluginABI = pluginABI
  }
}

/// `drover version`: this program, and the daemon where one answers.
public struct VersionReport: Sendable, Hashable, Codable {
  public var client: String
  public var daemon: VersionInfo?

  public init(client: String, daemon: VersionInfo? = nil) {
    self.client = client
    self.daemon = daemon
  }
}
