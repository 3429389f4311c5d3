/// Names a Secret: `longhorn-system/longhorn-crypto`.
public struct SecretReference: Sendable, Hashable, Codable, CustomStringConvertible {
  public var namespace: String
  public var name: String

  /// Where a Secret is that names no namespace, and where a target's credentials are.
  public static let defaultNamespace = "longhorn-system"

  /// Nil or an empty namespace is the default one.
  public init(namespace: String? = nil, name: String) {
    self.namespace = namespace.flatMap { $0.isEmpty ? nil : $0 } ?? Self.defaultNamespace
    self.name = name
  }

  /// Reads `NAME` and `NAMESPACE/NAME`. Throws `invalid`.
  public init(_ text: String) throws(Fault) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 2, !parts.contains("") else {
      throw Fault(
        .invalid, "\"\(ResourceName.printable(text))\" does not name a secret", hint: "write NAMESPACE/NAME or NAME")
    }
    self.init(namespace: parts.count == 2 ? parts[0] : nil, name: parts[parts.count - 1])
    try check()
  }

  /// Nil for the key of another kind.
  public init?(_ key: ResourceKey) {
    guard key.kind == .secret else { return nil }
    let parts = key.name.split(separator: "/", maxSplits: 1).map(String.init)
    self.init(namespace: parts.count == 2 ? parts[0] : nil, name: parts.last ?? "")
  }

  /// Its name is the bare one in the default namespace, and `NAMESPACE/NAME` in others.
  public var key: ResourceKey {
    ResourceKey(.secret, namespace == Self.defaultNamespace ? name : "\(namespace)/\(name)")
  }

  public var description: String { "\(namespace)/\(name)" }

  /// Throws `invalid` where no Secret can have this name.
  public func check() throws(Fault) {
    try ResourceName.check(name, .secret)
    let label = namespace.utf8
    let fits =
      (1...63).contains(label.count) && label.first != UInt8(ascii: "-") && label.last != UInt8(ascii: "-")
      && label.allSatisfy {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || $0 == UInt8(ascii: "-")
      }
    guard fits else {
      throw Fault(
        .invalid, "the namespace \"\(ResourceName.printable(namespace))\" of a Secret is not valid",
        hint: "a namespace is 1 to 63 of a-z 0-9 - with a letter or a digit at both ends")
    }
    // Its path would be that of a description of another one.
    guard name != "describe" || namespace == Self.defaultNamespace else {
      throw Fault(.invalid, "a Secret called describe can only be in \(Self.defaultNamespace)")
    }
  }
}

extension ResourceKey {
  /// Of an object as the API shows it. Throws for a kind that is not known.
  public init(_ resource: Resource) throws(Fault) {
    let kind = try ResourceKind(named: resource.kind)
    let metadata = resource.metadata
    self =
      kind == .secret
      ? SecretReference(namespace: metadata.namespace, name: metadata.name).key : ResourceKey(kind, metadata.name)
  }
}
