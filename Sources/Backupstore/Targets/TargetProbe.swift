/// Whether a target can be used now.
public struct TargetProbe: Sendable, Hashable {
  /// Canonical.
  public var url: StoreURL
  /// Why it can't be used; nil when it can.
  public var problem: StoreError?

  /// Reaches the target and lists its images; changes nothing but that, with `create`, an absent folder is made.
  public init(_ url: StoreURL, credentials: StoreCredentials = .none, create: Bool) {
    self.url = url
    do throws(StoreError) {
      _ = try openStore(url, credentials: credentials, create: create).imageNames()
    } catch {
      problem = error
    }
  }
}
