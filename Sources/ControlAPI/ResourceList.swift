public import DroverModel

/// GET of a collection, and what `-o json` prints of several objects.
public struct ResourceList: Sendable, Codable {
  public var apiVersion = "v1"
  public var kind = "List"
  public var items: [Resource]

  public init(_ items: [Resource]) { self.items = items }
}

/// GET of `/v1/plugins`.
public struct PluginList: Sendable, Codable {
  public var items: [PluginReport]

  public init(_ items: [PluginReport]) { self.items = items }
}

/// GET of `/v1/hooks`.
public struct HookList: Sendable, Codable {
  public var items: [HookFile]

  public init(_ items: [HookFile]) { self.items = items }
}
