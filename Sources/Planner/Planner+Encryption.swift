import DroverModel

// Where an image is encrypted, decrypted or re-keyed on its way. Source: docs/encryption.md.

extension Planner {
  /// Throws `key-missing` for a Secret that is not there or has no passphrase, `invalid` for one that can't be used. The
  /// words are Longhorn's.
  func checkSecrets(of encryption: BackingImage.Encryption) throws(Fault) {
    for reference in encryption.secrets { _ = try settings(reference) }
    // What is opened has its settings in its header.
    switch encryption {
    case .ignore, .decrypt: break
    case .encrypt(let secret): try settings(secret).checkNewHeader()
    case .rekey(_, let new): try settings(new).checkKeySlot()
    }
  }

  /// Throws `conflict` where the source is not what the work is for.
  func check(
    _ encryption: BackingImage.Encryption, of source: String, _ facts: Facts.ImageFacts
  ) throws(Fault) {
    switch encryption {
    case .encrypt where facts.encrypted:
      throw Fault(
        .conflict, "cannot re-encrypt the backing image, \(source) is already encrypted",
        hint: "encryption: ignore copies it as it is, rekey gives it another passphrase")
    case .decrypt where !facts.encrypted:
      throw Fault(
        .conflict, "cannot re-decrypt the backing image, \(source) is already decrypted",
        hint: "encryption: ignore copies it as it is")
    case .rekey where !facts.encrypted:
      throw Fault(
        .conflict, "cannot re-key the backing image, \(source) is not encrypted", hint: "encryption: encrypt does that")
    case .ignore, .encrypt, .decrypt, .rekey: break
    }
  }

  private func settings(_ reference: SecretReference) throws(Fault) -> CryptoSettings {
    guard let secret = facts.secrets[reference] else {
      throw Fault(
        .keyMissing, "failed to get the secret \(reference.name) in the namespace \(reference.namespace)",
        hint: "drover secret create \(reference)", retry: .afterFix)
    }
    if let fault = secret.fault { throw fault }
    let settings = try CryptoSettings(secret.settings)
    guard secret.hasPassphrase else {
      throw Fault(
        .keyMissing, "missing passphrase for encryption",
        hint: "\(reference.key) needs a value \(CryptoSettings.passphraseKey)", retry: .afterFix)
    }
    return settings
  }

  /// Members of an image's status that say which Secret opens it.
  func inherited(_ secret: SecretReference?) -> [String: JSONValue] {
    guard let secret else { return [:] }
    return ["secret": .string(secret.name), "secretNamespace": .string(secret.namespace)]
  }

  /// Puts the filter where it belongs: over the source, below the user's own filters, or over the new image.
  func putEncryption(of source: BackingImage.Source, into pipeline: inout Pipeline) throws(Fault) {
    let image: JSONValue = .of(source.image)
    let lock: JSONValue = .string("\(facts.stateFolder)/keys/derivation.lock")
    func use(_ name: String, _ secret: SecretReference, stage: Int) -> Pipeline.SecretUse {
      Pipeline.SecretUse(stage: stage, name: name, secret: secret, key: CryptoSettings.passphraseKey)
    }
    func derivation(_ settings: CryptoSettings) -> [String: JSONValue] {
      var params: [String: JSONValue] = [
        "hash": .string(settings.hash), "pbkdf": .string(settings.pbkdf), "derivationLock": lock,
        "image": image,
      ]
      if let iterations = settings.forceIterations { params["pbkdfForceIterations"] = .int(iterations) }
      if let memory = settings.memoryKiB { params["pbkdfMemory"] = .int(memory) }
      return params
    }
    switch source.encryption {
    case .ignore: break
    case .encrypt(let secret):
      let settings = try settings(secret)
      var params = derivation(settings)
      params["format"] = true
      params["cipher"] = .string(settings.cipher)
      params["keySize"] = .int(settings.keySize)
      pipeline.to.insert(Pipeline.Stage("crypto", .filter, params), at: 0)
      pipeline.secrets = [use("passphrase", secret, stage: pipeline.from.count)]
    case .decrypt(let secret):
      let params: [String: JSONValue] = ["format": false, "derivationLock": lock, "image": image]
      pipeline.from.insert(Pipeline.Stage("crypto", .filter, params), at: 1)
      pipeline.secrets = [use("passphrase", secret, stage: 1)]
    case .rekey(let old, let new):
      pipeline.from.insert(Pipeline.Stage("rekey", .filter, derivation(try settings(new))), at: 1)
      pipeline.secrets = [use("passphrase", old, stage: 1), use("new-passphrase", new, stage: 1)]
    }
  }
}

extension BackingImage.Source {
  /// The image whose bytes it reads, for messages.
  fileprivate var image: String? {
    switch self {
    case .clone(let image, _): image
    case .restore(let backup, _, _, _): backup.image
    case .download, .upload, .exportFromVolume, .stage: nil
    }
  }
}
