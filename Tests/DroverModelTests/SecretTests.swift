import DroverModel
import Foundation
import Testing

/// Longhorn's Secret, as its page "Backing Image Encryption" has it.
private let longhorn: JSONValue = [
  "apiVersion": "v1", "kind": "Secret", "metadata": ["name": "longhorn-crypto", "namespace": "longhorn-system"],
  "stringData": [
    "CRYPTO_KEY_VALUE": "Your encryption passphrase", "CRYPTO_KEY_PROVIDER": "secret",
    "CRYPTO_KEY_CIPHER": "aes-xts-plain64", "CRYPTO_KEY_HASH": "sha256", "CRYPTO_KEY_SIZE": "256",
    "CRYPTO_PBKDF": "argon2i",
  ],
]

private func secret(_ members: [String: JSONValue], namespace: String? = nil, name: String = "key") -> JSONValue {
  var document: [String: JSONValue] = ["apiVersion": "v1", "kind": "Secret", "metadata": ["name": .string(name)]]
  if let namespace { document["metadata"] = ["name": .string(name), "namespace": .string(namespace)] }
  return .object(document.merging(members) { $1 })
}

private func text(_ bytes: SecretBytes?) -> String? {
  bytes?.withBytes { String(decoding: $0, as: UTF8.self) }
}

@Suite struct SecretTests {
  private func values(_ document: JSONValue) throws -> [String: SecretBytes] {
    guard case .secret(let spec) = try read(document).spec else { return [:] }
    return spec.values
  }

  @Test func longhornsManifestIsTakenAsItStands() throws {
    let document = try read(longhorn)
    #expect(document.key == ResourceKey(.secret, "longhorn-crypto"))
    #expect(document.resource.apiVersion == "v1")
    #expect(document.resource.spec == ["type": "Opaque"])
    #expect(document.warnings.isEmpty)
    #expect(text(try values(longhorn)["CRYPTO_KEY_VALUE"]) == "Your encryption passphrase")
    #expect(try values(longhorn).count == 6)
  }

  @Test func stringDataWinsOverData() throws {
    let both = secret(["data": ["a": "b2xk", "b": "AP8K\n"], "stringData": ["a": "new\n"]])
    #expect(text(try values(both)["a"]) == "new\n")
    #expect(try values(both)["b"]?.withBytes { Array($0) } == [0, 255, 10])
  }

  @Test func whatIsKeptAndShownHoldsNoValue() throws {
    let document = try read(secret(["stringData": ["CRYPTO_KEY_VALUE": "hunter2"], "data": ["x": "aHVudGVyMg=="]]))
    let shown = String(decoding: try JSONEncoder().encode(document.resource), as: UTF8.self)
    #expect(!shown.contains("hunter2") && !shown.contains("aHVudGVyMg"))
    #expect(!"\(document)".contains("hunter2") && !String(reflecting: document).contains("hunter2"))
  }

  @Test(
    arguments: [
      ["data": ["key": "hunter2!"]], ["stringData": ["key": ["hunter2"]]], ["stringData": ["key": 7]],
      ["stringData": "hunter2"], ["data": ["a/b": "aHVudGVyMg=="]], ["stringData": [:]], [:],
      ["stringData": ["": "hunter2"]], ["spec": ["stringData": ["key": "hunter2"]]],
      ["stringData": ["key": "hunter2"], "stringdata": ["other": "hunter2"]],
    ] as [[String: JSONValue]])
  func refusalsTellNoValue(members: [String: JSONValue]) {
    let fault = fault { () throws(Fault) in try read(secret(members)) }
    #expect(fault?.code == .invalid)
    #expect(fault.map { "\($0)".contains("hunter2") } == false)
  }

  @Test func aSecretIsTooLarge() {
    let value = JSONValue.string(String(repeating: "x", count: Secret.largest + 1))
    #expect(fault { () throws(Fault) in try read(secret(["stringData": ["a": value]])) }?.code == .invalid)
  }

  @Test func namespacesTellSecretsApart() throws {
    let data: [String: JSONValue] = ["stringData": ["a": "b"]]
    #expect(try read(secret(data)).key.description == "secret/key")
    #expect(try read(secret(data, namespace: "longhorn-system")).key.description == "secret/key")
    let other = try read(secret(data, namespace: "prod"))
    #expect(other.key.description == "secret/prod/key")
    #expect(SecretReference(other.key) == SecretReference(namespace: "prod", name: "key"))
    #expect(try ResourceKey(other.resource) == other.key)
    for namespace in ["Prod", "a/b", "-a", "a-", "a b", ".", String(repeating: "a", count: 64)] {
      #expect(fault { () throws(Fault) in try read(secret(data, namespace: namespace)) }?.code == .invalid)
    }
    #expect(fault { () throws(Fault) in try read(secret(data, namespace: "prod", name: "describe")) } != nil)
  }

  @Test func referencesAsText() throws {
    #expect(try SecretReference("prod/key") == SecretReference(namespace: "prod", name: "key"))
    #expect(try SecretReference("key").description == "longhorn-system/key")
    for text in ["", "/", "a/", "/ab", "a/b/c", "prod/Key", "../ab"] {
      #expect(fault { () throws(Fault) in try SecretReference(text) }?.code == .invalid, "\(text)")
    }
  }

  @Test func base64IsFoundations() throws {
    var generator = SystemRandomNumberGenerator()
    for length in 0..<70 {
      let bytes = (0..<length).map { _ in UInt8.random(in: 0...255, using: &generator) }
      let encoded = Data(bytes).base64EncodedString()
      #expect(bytes.withUnsafeBytes(Base64.encode) == encoded)
      #expect(Base64.decode(encoded)?.withBytes { Array($0) } == bytes)
    }
    for bad in ["a", "ab", "abc", "a===", "ab=c", "====", "ab c", "YQ=", "YQ==YQ==", "Y_=="] {
      #expect(Base64.decode(bad) == nil, "\(bad)")
    }
  }

  @Test func secretBytesCompareByContent() {
    #expect(SecretBytes("abc") == SecretBytes("abc"))
    #expect(SecretBytes("abc") != SecretBytes("abd"))
    #expect(SecretBytes("abc") != SecretBytes("ab"))
    #expect(SecretBytes("").isEmpty)
  }

  @Test func onlyTheKeyOfAnImageIsHeldFast() {
    let old = Secret.Spec(values: ["CRYPTO_KEY_VALUE": SecretBytes("a"), "CRYPTO_PBKDF": SecretBytes("argon2i")])
    let reference = SecretReference(name: "key")
    let image = ResourceKey(.backingImage, "parrot")
    var new = old
    #expect(old.changes(to: new, reference, dependents: [image]).isEmpty)
    new.values["CRYPTO_PBKDF"] = SecretBytes("pbkdf2")
    #expect(old.changes(to: new, reference, dependents: [image]).map(\.refusal) == [nil])
    new.values["CRYPTO_KEY_VALUE"] = SecretBytes("b")
    #expect(old.changes(to: new, reference, dependents: []).allSatisfy { $0.refusal == nil })
    let refusal = old.changes(to: new, reference, dependents: [image]).compactMap(\.refusal).first
    #expect(refusal?.code.exitCode == 5)
    #expect(refusal?.message.contains("backingimage/parrot") == true)
    new.values["CRYPTO_KEY_VALUE"] = nil
    #expect(old.changes(to: new, reference, dependents: [image]).contains { $0.refusal != nil })
    let empty = Secret.Spec(values: ["CRYPTO_KEY_VALUE": SecretBytes("")])
    #expect(empty.changes(to: new, reference, dependents: [image]).allSatisfy { $0.refusal == nil })
  }
}

@Suite struct CryptoSettingsTests {
  @Test func defaultsAreLonghorns() throws {
    let settings = try CryptoSettings(["CRYPTO_KEY_CIPHER": " ", "CRYPTO_KEY_PROVIDER": "secret"])
    #expect(settings.cipher == "aes-xts-plain64" && settings.hash == "sha256" && settings.keySize == 256)
    #expect(settings.pbkdf == "argon2i" && settings.forceIterations == nil && settings.memoryKiB == nil)
  }

  @Test func everyKeyCounts() throws {
    let settings = try CryptoSettings([
      "CRYPTO_KEY_CIPHER": "c", "CRYPTO_KEY_HASH": "sha512", "CRYPTO_KEY_SIZE": "512", "CRYPTO_PBKDF": "pbkdf2",
      "CRYPTO_PBKDF_FORCE_ITERATIONS": "1000", "CRYPTO_PBKDF_MEMORY": "32768",
    ])
    #expect(settings.cipher == "c" && settings.hash == "sha512" && settings.keySize == 512)
    #expect(settings.pbkdf == "pbkdf2" && settings.forceIterations == 1000 && settings.memoryKiB == 32768)
  }

  @Test(arguments: [
    ["CRYPTO_KEY_SIZE": "384"], ["CRYPTO_KEY_CIPHER": "aes-cbc-plain"], ["CRYPTO_PBKDF_FORCE_ITERATIONS": "3"],
    ["CRYPTO_PBKDF": "pbkdf2", "CRYPTO_PBKDF_FORCE_ITERATIONS": "999"], ["CRYPTO_PBKDF_MEMORY": "31"],
    ["CRYPTO_PBKDF_MEMORY": "4194305"],
  ])
  func noHeaderIsMadeOf(_ values: [String: String]) throws {
    let settings = try CryptoSettings(values)
    let fault = fault { () throws(Fault) in try settings.checkNewHeader() }
    let key = values.keys.sorted().last ?? ""
    #expect(fault?.code == .invalid && fault?.message.hasPrefix("\(key) is \"\(values[key] ?? "")\"") == true)
  }

  @Test func memoryIsOfNoMeaningForPBKDF2() throws {
    try CryptoSettings(["CRYPTO_PBKDF": "pbkdf2", "CRYPTO_PBKDF_MEMORY": "1"]).checkNewHeader()
    try CryptoSettings(["CRYPTO_KEY_SIZE": "384", "CRYPTO_KEY_CIPHER": "x"]).checkKeySlot()
  }

  @Test(arguments: [
    ("CRYPTO_KEY_PROVIDER", "vault", "unsupported key provider vault for encryption"),
    ("CRYPTO_KEY_SIZE", "big", "CRYPTO_KEY_SIZE is \"big\""), ("CRYPTO_KEY_SIZE", "-1", "CRYPTO_KEY_SIZE"),
    ("CRYPTO_PBKDF", "scrypt", "CRYPTO_PBKDF is \"scrypt\""),
    ("CRYPTO_PBKDF_FORCE_ITERATIONS", "0", "CRYPTO_PBKDF_FORCE_ITERATIONS"),
    ("CRYPTO_PBKDF_MEMORY", "1G", "CRYPTO_PBKDF_MEMORY"),
  ])
  func refusals(key: String, value: String, words: String) {
    let fault = fault { () throws(Fault) in try CryptoSettings([key: value]) }
    #expect(fault?.code == .invalid)
    #expect(fault?.message.contains(words) == true)
  }
}

@Suite struct EncryptionSpecTests {
  private func clone(_ parameters: [String: JSONValue], _ more: [String: JSONValue] = [:]) -> [String: JSONValue] {
    let all = ["backing-image": "parrot"].merging(parameters) { $1 }
    return ["sourceType": "clone", "sourceParameters": .object(all)].merging(more) { $1 }
  }

  private let key: [String: JSONValue] = ["secret": "key", "secret-namespace": "ns"]
  private let reference = SecretReference(namespace: "ns", name: "key")

  @Test func everyWayIsRead() throws {
    func encryption(_ parameters: [String: JSONValue]) throws -> BackingImage.Encryption {
      try imageSpec(clone(parameters)).source.encryption
    }
    #expect(try encryption([:]) == .ignore)
    #expect(try encryption(["encryption": "ignore"]) == .ignore)
    #expect(try encryption(key.merging(["encryption": "encrypt"]) { $1 }) == .encrypt(reference))
    #expect(try encryption(key.merging(["encryption": " decrypt "]) { $1 }) == .decrypt(reference))
    let new: [String: JSONValue] = ["encryption": "rekey", "new-secret": "new", "new-secret-namespace": "ns"]
    #expect(
      try encryption(key.merging(new) { $1 })
        == .rekey(from: reference, to: SecretReference(namespace: "ns", name: "new")))
    let restore = try imageSpec([
      "sourceType": "restore",
      "sourceParameters": .object(
        key.merging(["backup-url": "file:///s?backingImage=ab", "encryption": "decrypt"]) { $1 }),
    ])
    #expect(restore.source.encryption == .decrypt(reference))
  }

  @Test(
    arguments: [
      (["encryption": ""], "encryption should not be empty for cloning"),
      (["encryption": "scramble"], "encryption scramble is not supported"),
      (["encryption": "encrypt"], "secret is not provided for encryption or decryption during cloneing"),
      (
        ["encryption": "encrypt", "secret": "key"],
        "secret is not provided for encryption or decryption during cloneing"
      ),
      (
        ["encryption": "decrypt", "secret-namespace": "ns"],
        "secret is not provided for encryption or decryption during cloneing"
      ),
      (
        ["encryption": "rekey", "secret": "key", "secret-namespace": "ns", "new-secret": ""],
        "new-secret is not provided for encryption or decryption during cloneing"
      ),
    ] as [([String: JSONValue], String)])
  func refusalsHaveLonghornsWords(parameters: [String: JSONValue], words: String) {
    let fault = fault { () throws(Fault) in try imageSpec(clone(parameters)) }
    #expect(fault?.message == words)
    #expect(fault?.code.exitCode == 2)
  }

  @Test func aRestoreOnlyDecrypts() {
    let fault = fault { () throws(Fault) in
      try imageSpec([
        "sourceType": "restore",
        "sourceParameters": ["backup-url": "file:///s?backingImage=ab", "encryption": "encrypt"],
      ])
    }
    #expect(fault?.message == "encryption encrypt is not supported")
  }

  @Test func aV2SourceIsRefused() {
    let fault = fault { () throws(Fault) in try imageSpec(clone(["data-engine": "v2"])) }
    #expect(fault?.message == "clone from a v2 backing image is not supported")
  }

  @Test func theSecretGoesIntoTheSpecAndTheChecksumOutOfIt() throws {
    let parameters = key.merging(["encryption": "encrypt"]) { $1 }
    let checked = try BackingImage.Spec.read(clone(parameters, ["checksum": .string(sampleChecksum)]))
    #expect(checked.spec.secretReference == reference)
    #expect(checked.fields["secret"] == "key" && checked.fields["secretNamespace"] == "ns")
    #expect(checked.spec.checksum == nil && checked.fields["checksum"] == nil)
    #expect(checked.warnings.contains { $0.hasPrefix("spec.checksum is discarded") })
    // What was kept is the same as what is written again.
    let again = try BackingImage.Spec.read(clone(parameters)).spec
    #expect(checked.spec.changes(to: again, name: "x", state: .ready, checksum: nil).isEmpty)
    #expect(try BackingImage.Spec.read(checked.fields).fields == checked.fields)
  }

  @Test func aContradictingSecretIsRefused() throws {
    let encrypt = clone(key.merging(["encryption": "encrypt"]) { $1 }, ["secret": "other", "secretNamespace": "ns"])
    #expect(fault { () throws(Fault) in try imageSpec(encrypt) }?.code == .invalid)
    let same = clone(key.merging(["encryption": "encrypt"]) { $1 }, ["secret": "key", "secretNamespace": "ns"])
    #expect(try imageSpec(same).secret == "key")
    let decrypt = clone(key.merging(["encryption": "decrypt"]) { $1 }, ["secret": "key", "secretNamespace": "ns"])
    #expect(fault { () throws(Fault) in try imageSpec(decrypt) }?.code == .invalid)
    #expect(try imageSpec(clone(key.merging(["encryption": "decrypt"]) { $1 })).secret == nil)
  }

  @Test func whatHasNoEffectIsSaid() throws {
    let checked = try BackingImage.Spec.read(clone(key))
    #expect(checked.warnings.count == 2)
    #expect(checked.spec.secret == nil)
  }

  @Test func aPipelineOfAnEarlierVersionIsRead() throws {
    let old = #"{"from":[{"stage":"clone","role":"source","params":{}}],"to":[],"concurrency":3}"#
    let pipeline = try JSONDecoder().decode(Pipeline.self, from: Data(old.utf8))
    #expect(pipeline.secrets.isEmpty && pipeline.concurrency == 3)
    var new = pipeline
    #expect(!String(decoding: try JSONEncoder().encode(new), as: UTF8.self).contains("secrets"))
    new.secrets = [.init(stage: 1, name: "passphrase", secret: reference, key: "CRYPTO_KEY_VALUE")]
    #expect(try JSONDecoder().decode(Pipeline.self, from: JSONEncoder().encode(new)) == new)
  }
}
