public import Backupstore
public import StageKit

extension OpenRequest {
  /// The target's credentials: the stage's secrets, by the names that they have in the target's Secret.
  public var credentials: StoreCredentials {
    var credentials = StoreCredentials()
    for secret in secrets { credentials.set(secret.name, secret.bytes) }
    return credentials
  }

  /// Opens the target with what the stage was given.
  public func openStore(_ url: StoreURL, create: Bool = false) throws(StoreError) -> any ObjectStore {
    try Backupstore.openStore(
      url, credentials: credentials, create: create, stallSeconds: Double(max(1, stallSeconds)))
  }
}
