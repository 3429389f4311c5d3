public import DroverModel

/// GET of `/v1/status`: the engine's own report, the version, and the effective configuration.
public struct StatusReport: Sendable, Codable {
  public var version: String
  public var engine: EngineStatus
  /// Effective values, with the keys of the configuration file.
  public var configuration: [String: JSONValue]

  public init(version: String, engine: EngineStatus, configuration: [String: JSONValue] = [:]) {
    self.version = version
    self.engine = engine
    self.configuration = configuration
  }

  private enum CodingKeys: String, CodingKey { case version, configuration }

  /// One flat object: the engine's members stand beside the others.
  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    version = try container.decode(String.self, forKey: .version)
    configuration = try container.decodeIfPresent([String: JSONValue].self, forKey: .configuration) ?? [:]
    engine = try EngineStatus(from: decoder)
  }

  public func encode(to encoder: any Encoder) throws {
    try engine.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(version, forKey: .version)
    try container.encode(configuration, forKey: .configuration)
  }
}
