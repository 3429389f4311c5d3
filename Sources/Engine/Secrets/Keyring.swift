import DroverModel
import LinuxSystem
import OpenSSL

/// Where the key is that seals Secrets in the catalog: a systemd credential, or a file that is made at first use. It is
/// read anew for each use and never kept in memory.
struct Keyring: Sendable {
  /// `STATE/keys`.
  let folder: String
  /// `CREDENTIALS_DIRECTORY`, where the service manager gave one.
  let credentials: String?

  var file: String { "\(folder)/sealing.key" }
  var credential: String? { credentials.map { "\($0)/drover-key" } }

  /// The keys that there are, the one for new values first. Throws `key-missing` for one that can't be used.
  func keys() throws(Fault) -> [SealingKey] {
    var keys: [SealingKey] = []
    if let credential, let key = try Self.read(credential, mayBeShared: true) { keys.append(key) }
    if let key = try Self.read(file, mayBeShared: false) { keys.append(key) }
    return keys
  }

  /// The key for new values. Where there is none it is made, but only if nothing is sealed with another one.
  /// - Parameter sealed: Whether the catalog holds values.
  func keyForSealing(sealed: Bool) throws(Fault) -> SealingKey {
    if let key = try keys().first { return key }
    guard !sealed else { throw lost }
    do throws(SystemError) {
      try Folder.create(folder, permissions: 0o700)
      var random = SystemRandomNumberGenerator()
      let bytes = SecretBytes(count: AES256GCM.keyLength) { bytes in
        for index in bytes.indices { bytes[index] = UInt8.random(in: 0...255, using: &random) }
      }
      try bytes.withBytes { (bytes) throws(SystemError) in
        try Folder.writeDurably(file, bytes, permissions: 0o600)
      }
      try Folder.sync(Folder.parent(of: folder))
      return SealingKey(bytes: bytes)
    } catch {
      throw Fault(
        error.isNoSpace ? .noSpace : .io, "could not make the key that seals secrets, \(file): \(error.answer)")
    }
  }

  /// As `keyForSealing`, but makes nothing.
  func checkSealing(sealed: Bool) throws(Fault) {
    if sealed, try keys().isEmpty { throw lost }
  }

  /// The value's plain bytes.
  ///
  /// Throws `key-missing` where the key is not there, and `wrong-key` where it is another one or the value was changed.
  /// Both wait for somebody's change; the value stays as it is.
  func open(_ value: SealedValue, of secret: SecretReference) throws(Fault) -> SecretBytes {
    let keys = try keys()
    guard !keys.isEmpty else { throw lost }
    guard let key = keys.first(where: { $0.identifier == value.sealedWith }) else {
      throw Fault(
        .wrongKey, "could not open \(value.key) of \(secret.key): it was sealed with another key than \(places)",
        hint: "put the right key back; if it is lost, see \"Secrets\" in docs/operations.md", retry: .afterFix)
    }
    guard let plain = key.open(value, of: secret) else {
      throw Fault(
        .wrongKey, "could not open \(value.key) of \(secret.key): it was changed in the catalog, or moved there",
        hint: "put a copy of the catalog back, or delete the secret with --force and apply it again",
        retry: .afterFix)
    }
    return plain
  }

  private var places: String { credential.map { "\(file) or \($0)" } ?? file }

  private var lost: Fault {
    Fault(
      .keyMissing, "the key that seals the secrets in the catalog is not there: \(places)",
      hint: "put a copy of it back; if it is lost, see \"Secrets\" in docs/operations.md", retry: .afterFix)
  }

  /// Nil where the file is not there.
  private static func read(_ path: String, mayBeShared: Bool) throws(Fault) -> SealingKey? {
    func unusable(_ why: String) -> Fault {
      Fault(
        .keyMissing, "could not use the key that seals secrets, \(path): \(why)", hint: "put the right file back",
        retry: .afterFix)
    }
    var count = 0
    let status: FileStatus
    let bytes: SecretBytes
    do throws(SystemError) {
      guard try FileStatus.of(path) != nil else { return nil }
      let file = try OpenFile.open(path, .read)
      status = try file.status()
      bytes = try SecretBytes(count: AES256GCM.keyLength) { (buffer) throws(SystemError) in
        count = try file.read(into: buffer, at: 0)
      }
    } catch {
      throw unusable(error.answer)
    }
    guard mayBeShared || status.permissions & 0o077 == 0 else { throw unusable("others may read it: chmod 600") }
    guard count == AES256GCM.keyLength, status.size == UInt64(count) else {
      throw unusable("it has \(status.size) bytes, not \(AES256GCM.keyLength)")
    }
    return SealingKey(bytes: bytes)
  }
}
