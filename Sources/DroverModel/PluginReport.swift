/// What `plugin list` and `plugin inspect` show of one file.
public struct PluginReport: Sendable, Hashable, Codable {
  public var path: String
  public var name: String?
  public var version: String?
  public var abi: String?
  public var stages: [StageReport]
  /// Why it was not loaded.
  public var refused: Fault?

  public init(
    path: String, name: String? = nil, version: String? = nil, abi: String? = nil, stages: [StageReport] = [],
    refused: Fault? = nil
  ) {
    self.path = path
    self.name = name
    self.version = version
    self.abi = abi
    self.stages = stages
    self.refused = refused
  }

  public struct StageReport: Sendable, Hashable, Codable {
    public var name: String
    public var summary: String
    public var roles: [Pipeline.Role]
    public var parallel: Bool
    public var network: Bool
    /// Parameter -> {"required", "summary"}, as the plugin says it.
    public var params: JSONValue?

    public init(
      name: String, summary: String, roles: [Pipeline.Role], parallel: Bool, network: Bool, params: JSONValue? = nil
    ) {
      self.name = name
      self.summary = summary
      self.roles = roles
      self.parallel = parallel
      self.network = network
      self.params = params
    }
  }
}
