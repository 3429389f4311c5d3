public import DroverModel

/// POST of `/v1/hooks/test`: what to try a policy on. One of `input` and `live`.
public struct HookTestRequest: Sendable, Codable {
  public var point: PolicyPoint
  /// A `ctx`, as docs/hooks.md describes it.
  public var input: JSONValue?
  /// `backingimage/parrot`: the `ctx` for a backup of it, or for the backup that it is.
  public var live: String?

  public init(point: PolicyPoint, input: JSONValue? = nil, live: String? = nil) {
    self.point = point
    self.input = input
    self.live = live
  }
}
