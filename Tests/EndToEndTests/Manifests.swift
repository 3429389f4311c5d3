import DroverModel

/// Manifests as they stand in Longhorn's documentation, but for names, addresses and checksums.
enum Manifest {
  static func download(_ name: String, url: String, checksum: String? = nil) -> String {
    image(name, "download", ["url": url], checksum: checksum)
  }

  static func clone(_ name: String, of source: String) -> String {
    image(name, "clone", ["backing-image": source, "encryption": "ignore"])
  }

  static func restore(_ name: String, url: String, checksum: String? = nil) -> String {
    image(name, "restore", ["backup-url": url, "concurrent-limit": "2"], checksum: checksum)
  }

  static func image(
    _ name: String, _ sourceType: String, _ parameters: [String: String], checksum: String? = nil, more: String = ""
  ) -> String {
    """
    apiVersion: longhorn.io/v1beta2
    kind: BackingImage
    metadata:
      name: \(name)
      namespace: longhorn-system
    spec:
      sourceType: \(sourceType)
      sourceParameters:
    \(parameters.sorted { $0.key < $1.key }.map { "    \($0.key): \"\($0.value)\"" }.joined(separator: "\n"))
    \(checksum.map { "  checksum: \"\($0)\"" } ?? "")
    \(more)
    """
  }

  /// The older form: the backup's name is the image's.
  static func backup(_ image: String) -> String {
    """
    apiVersion: longhorn.io/v1beta2
    kind: BackupBackingImage
    metadata:
      name: \(image)
      namespace: longhorn-system
    spec:
      userCreated: true
      labels:
        usecase: test
        type: raw
    """
  }

  /// One whose name is asked of a policy.
  static func namelessBackup(of image: String) -> String {
    """
    apiVersion: longhorn.io/v1beta2
    kind: BackupBackingImage
    metadata:
      namespace: longhorn-system
    spec:
      backingImage: \(image)
      userCreated: true
      labels:
        usecase: test
        type: raw
    """
  }

  /// The newer form.
  static func backup(_ name: String, of image: String, target: String = "default", userCreated: Bool = true) -> String {
    """
    apiVersion: longhorn.io/v1beta2
    kind: BackupBackingImage
    metadata:
      name: \(name)
      namespace: longhorn-system
    spec:
      backingImage: \(image)
      backupTargetName: \(target)
      userCreated: \(userCreated)
    """
  }
}
