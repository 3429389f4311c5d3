extension BackingImage {
  /// What becomes of the bytes between a source and a new image: `encryption` in `sourceParameters`.
  public enum Encryption: Sendable, Hashable {
    /// The bytes as they are.
    case ignore
    case encrypt(SecretReference)
    case decrypt(SecretReference)
    /// Drover's own: another passphrase over the same volume key.
    case rekey(from: SecretReference, to: SecretReference)

    /// As in `sourceParameters`.
    public var word: String {
      switch self {
      case .ignore: "ignore"
      case .encrypt: "encrypt"
      case .decrypt: "decrypt"
      case .rekey: "rekey"
      }
    }

    /// That can open the result; nil where the result is plain, or as the source is.
    public var secretOfResult: SecretReference? {
      switch self {
      case .ignore, .decrypt: nil
      case .encrypt(let secret), .rekey(_, let secret): secret
      }
    }

    /// All that the work needs.
    public var secrets: [SecretReference] {
      switch self {
      case .ignore: []
      case .encrypt(let secret), .decrypt(let secret): [secret]
      case .rekey(let from, let to): [from, to]
      }
    }
  }
}

extension BackingImage.Encryption {
  /// Reads `encryption` and the secrets beside it. The words of a refusal are Longhorn's: its `mutator.go` and
  /// `validator.go` of the backing image.
  static func read(_ reader: inout FieldReader, _ words: [String]) throws(Fault) -> Self {
    let known = "\(reader.field("encryption")) is one of \(words.joined(separator: ", "))"
    var word = "ignore"
    if let value = reader.value("encryption") {
      word = value.scalarText?.trimmed ?? value.typeName
      guard !word.isEmpty else {
        throw Fault(.invalid, "encryption should not be empty for cloning", hint: known)
      }
    }
    guard words.contains(word) else {
      throw Fault(.invalid, "encryption \(ResourceName.printable(word)) is not supported", hint: known)
    }
    let secret = try reference("secret", &reader)
    let newSecret = try reference("new-secret", &reader)
    func given(_ reference: SecretReference?, _ key: String) throws(Fault) -> SecretReference {
      guard let reference else {
        // Longhorn's spelling: scripts look for it.
        throw Fault(
          .invalid, "\(key) is not provided for encryption or decryption during cloneing",
          hint: "\(reader.field(key)) and \(reader.field("\(key)-namespace")) name a Secret")
      }
      return reference
    }
    if word != "rekey" { noEffect(["new-secret", "new-secret-namespace"], word, &reader) }
    switch word {
    case "encrypt": return .encrypt(try given(secret, "secret"))
    case "decrypt": return .decrypt(try given(secret, "secret"))
    case "rekey": return .rekey(from: try given(secret, "secret"), to: try given(newSecret, "new-secret"))
    default:
      noEffect(["secret", "secret-namespace"], word, &reader)
      return .ignore
    }
  }

  private static func reference(_ key: String, _ reader: inout FieldReader) throws(Fault) -> SecretReference? {
    let name = try reader.text(key)
    let namespace = try reader.text("\(key)-namespace")
    guard let name, let namespace else { return nil }
    let reference = SecretReference(namespace: namespace, name: name)
    try reference.check()
    return reference
  }

  private static func noEffect(_ keys: [String], _ word: String, _ reader: inout FieldReader) {
    for key in keys where reader.kept[key] != nil {
      reader.warnings.append("\(reader.field(key)) is kept, but has no effect where encryption is \(word)")
    }
  }
}
