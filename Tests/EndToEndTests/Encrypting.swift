import Glibc
import LinuxSystem
import TestKit

/// What a user of encryption types, and what a stranger sees who looks at the files.
enum Encrypting {
  static let passphrase = "Your encryption passphrase"
  static let marker = "plain-bytes-of-the-guest"

  /// As Longhorn's page has it, but for a key derivation that takes less than the seconds and the GiB of the default.
  /// - Parameter settings: Instead of what the page has.
  static func secret(
    _ name: String = "longhorn-crypto", _ passphrase: String = passphrase, namespace: String = "longhorn-system",
    provider: String = "secret", settings: [String: String] = [:]
  ) -> String {
    let data = [
      "CRYPTO_KEY_VALUE": passphrase, "CRYPTO_KEY_PROVIDER": provider, "CRYPTO_KEY_CIPHER": "aes-xts-plain64",
      "CRYPTO_KEY_HASH": "sha256", "CRYPTO_KEY_SIZE": "256", "CRYPTO_PBKDF": "argon2i",
      "CRYPTO_PBKDF_FORCE_ITERATIONS": "4", "CRYPTO_PBKDF_MEMORY": "32768",
    ].merging(settings) { $1 }
    return """
      apiVersion: v1
      kind: Secret
      metadata:
        name: \(name)
        namespace: \(namespace)
      stringData:
      \(data.sorted { $0.key < $1.key }.map { "  \($0.key): \"\($0.value)\"" }.joined(separator: "\n"))
      """
  }

  static func clone(
    _ name: String, of source: String, _ encryption: String, _ secret: String = "longhorn-crypto",
    namespace: String = "longhorn-system", checksum: String? = nil
  ) -> String {
    Manifest.image(
      name, "clone",
      ["backing-image": source, "encryption": encryption, "secret": secret, "secret-namespace": namespace],
      checksum: checksum)
  }

  /// Decrypts what it restores.
  static func restore(
    _ name: String, url: String, _ secret: String = "longhorn-crypto", namespace: String = "longhorn-system"
  ) -> String {
    Manifest.image(
      name, "restore",
      ["backup-url": url, "encryption": "decrypt", "secret": secret, "secret-namespace": namespace])
  }

  /// Every sector holds the marker, but for a hole in the middle.
  static func markedImage(_ path: String, size: UInt64) throws -> TestImage {
    let file = try OpenFile.open(path, .createNew(permissions: 0o644))
    var noise = Noise(seed: 7)
    let mark = Array(marker.utf8)
    for offset in stride(from: UInt64(0), to: size, by: 1 << 20) where offset / (4 << 20) != 1 {
      var block = noise.bytes(Int(min(1 << 20, size - offset)))
      for start in stride(from: 0, to: block.count, by: 512) {
        block.replaceSubrange(start + 100..<start + 100 + mark.count, with: mark)
      }
      try block.withUnsafeBytes { try file.write($0, at: offset) }
    }
    try file.truncate(to: size)
    return TestImage(path: path, size: size, sha512: try TestImage.sha512(of: path))
  }

  /// Files below a folder that hold the text.
  static func files(with text: String, below folder: String) throws -> [String] {
    let out = TemporaryFolder("grep")
    let file = try OpenFile.open(out("found"), .create(permissions: 0o600))
    let null = try OpenFile.open("/dev/null", .readWrite)
    let grep = try ChildProcess.spawn(
      "/usr/bin/grep", arguments: ["grep", "-rlaF", "-e", text, folder], environment: ["LC_ALL": "C"],
      descriptors: [(null.descriptor, 0), (file.descriptor, 1), (2, 2)])
    // 1: nothing found; 2: one that went away meanwhile.
    _ = try grep.wait()
    let found = try Folder.readFile(out("found"), limit: 1 << 20)
    return String(decoding: found, as: UTF8.self).split(separator: "\n").map(String.init)
  }

  /// Whether `cryptsetup` opens the image with the passphrase.
  static func opens(_ path: String, _ passphrase: String = passphrase) -> Bool {
    Cryptsetup.opens(path, Array(passphrase.utf8))
  }

  /// The plain bytes of an encrypted image: the key as `cryptsetup` tells it, and an AES-XTS that is not Drover's.
  static func plainBytes(of path: String, _ passphrase: [UInt8] = Array(passphrase.utf8)) throws -> [UInt8] {
    let image = try Folder.readFile(path, limit: 64 << 20)
    let key = try Cryptsetup.volumeKey(path, passphrase)
    return try OtherXTS.apply(Array(image[(16 << 20)...]), key: key, encrypt: false, sectorSize: 512)
  }
}
