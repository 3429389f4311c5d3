/// What a volume is to be reverted to.
public struct RevertRequest: Sendable, Codable {
  /// The name of a snapshot in the volume.
  public var snapshot: String

  public init(snapshot: String) { self.snapshot = snapshot }
}
