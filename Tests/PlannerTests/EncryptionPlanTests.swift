import DroverModel
import Planner
import Testing

private let key = SecretReference(namespace: "ns", name: "key")
private let new = SecretReference(namespace: "ns", name: "new")
private let checksum = String(repeating: "ab", count: 64)
private let lock: JSONValue = "/state/keys/derivation.lock"
private let parrot = "/state/images/parrot-11111111/backing"
private let sealed = "/state/images/sealed-22222222/backing"

private let facts = Facts(
  stateFolder: "/state",
  images: [
    "parrot": .init(state: .ready, uuid: "11111111", path: parrot, checksum: checksum),
    "sealed": .init(
      state: .ready, uuid: "22222222", path: sealed, checksum: checksum, encrypted: true, secret: "key",
      secretNamespace: "ns"),
    "unready": .init(state: .inProgress, uuid: "33333333"),
  ],
  backups: ["done": .init(image: "sealed", targetName: "default", state: .completed)],
  targets: ["default": TargetURL(folder: "/state/store")],
  secrets: [
    key: .init(settings: ["CRYPTO_KEY_SIZE": "512", "CRYPTO_PBKDF_MEMORY": "32768"]),
    new: .init(settings: ["CRYPTO_PBKDF": "pbkdf2", "CRYPTO_PBKDF_FORCE_ITERATIONS": "1000"]),
    .init(name: "vault"): .init(settings: ["CRYPTO_KEY_PROVIDER": "vault"]),
    .init(name: "empty"): .init(hasPassphrase: false),
    .init(name: "lost"): .init(fault: Fault(.keyMissing, "the key is lost", retry: .afterFix)),
  ])

private let newImage = Pipeline.Stage(
  "clone", .sink, ["folder": "/state/images/new-0badcafe", "name": "new", "uuid": "0badcafe"])

private func plan(_ source: BackingImage.Source, _ filters: [BackingImage.Filter] = []) throws -> PlannedJob? {
  let spec = BackingImage.Spec(source: source, filters: filters)
  guard case .job(let job) = try Planner(facts).plan(image: "new", uuid: "0badcafe", spec: spec) else { return nil }
  return job
}

private func clone(_ image: String, _ encryption: BackingImage.Encryption) -> BackingImage.Source {
  .clone(image: image, encryption: encryption)
}

private func file(_ path: String, _ view: String = "file") -> Pipeline.Stage {
  .init("clone", .source, ["path": .string(path), "view": .string(view)])
}

private func use(_ stage: Int, _ name: String, _ secret: SecretReference) -> Pipeline.SecretUse {
  .init(stage: stage, name: name, secret: secret, key: "CRYPTO_KEY_VALUE")
}

@Suite struct EncryptionPlanTests {
  @Test func encrypting() throws {
    let job = try #require(try plan(clone("parrot", .encrypt(key))))
    #expect(
      job.pipeline
        == Pipeline(
          from: [file(parrot, "guest")],
          to: [
            .init(
              "crypto", .filter,
              [
                "format": true, "cipher": "aes-xts-plain64", "hash": "sha256", "keySize": 512, "pbkdf": "argon2i",
                "pbkdfMemory": 32768, "derivationLock": lock, "image": "parrot",
              ]), newImage,
          ], secrets: [use(1, "passphrase", key)]))
    #expect(job.inherited == ["secret": "key", "secretNamespace": "ns"])
    #expect(job.reads == [ResourceKey(.backingImage, "parrot"), key.key])
  }

  @Test func decrypting() throws {
    let job = try #require(try plan(clone("sealed", .decrypt(key))))
    #expect(
      job.pipeline
        == Pipeline(
          from: [
            file(sealed), .init("crypto", .filter, ["format": false, "derivationLock": lock, "image": "sealed"]),
          ], to: [newImage], secrets: [use(1, "passphrase", key)]))
    #expect(job.inherited.isEmpty)
  }

  @Test func rekeying() throws {
    let job = try #require(try plan(clone("sealed", .rekey(from: key, to: new))))
    #expect(
      job.pipeline
        == Pipeline(
          from: [
            file(sealed),
            .init(
              "rekey", .filter,
              [
                "hash": "sha256", "pbkdf": "pbkdf2", "pbkdfForceIterations": 1000, "derivationLock": lock,
                "image": "sealed",
              ]),
          ], to: [newImage], secrets: [use(1, "passphrase", key), use(1, "new-passphrase", new)]))
    #expect(job.inherited == ["secret": "new", "secretNamespace": "ns"])
    #expect(job.reads == [ResourceKey(.backingImage, "sealed"), key.key, new.key])
  }

  @Test func restoringAndDecrypting() throws {
    let url = try ImageBackupURL("file:///state/store?backingImage=sealed")
    let job = try #require(try plan(.restore(backup: url, concurrency: 2, targetName: nil, decrypt: key)))
    #expect(
      job.pipeline
        == Pipeline(
          from: [
            .init("restore", .source, ["url": .string(url.text)]),
            .init("crypto", .filter, ["format": false, "derivationLock": lock, "image": "sealed"]),
          ], to: [newImage], concurrency: 2, secrets: [use(1, "passphrase", key)]))
    #expect(job.reads == [ResourceKey(.backupBackingImage, "done"), key.key])
  }

  @Test func theUsersFiltersSeeThePlainImage() throws {
    let job = try #require(try plan(clone("sealed", .decrypt(key)), [.init(stage: "invert")]))
    #expect(job.pipeline.from.map(\.stage) == ["clone", "crypto", "invert"])
    let other = try #require(try plan(clone("parrot", .encrypt(key)), [.init(stage: "invert")]))
    #expect(other.pipeline.from.map(\.stage) == ["clone", "invert"])
    #expect(other.pipeline.secrets.map(\.stage) == [2])
  }

  @Test func aSecretInTheSpecIsTheImages() throws {
    let spec = BackingImage.Spec(
      source: .download(parameters: ["url": "http://h/x"]), secret: "mine", secretNamespace: nil)
    guard case .job(let job) = try Planner(facts).plan(image: "new", uuid: "0badcafe", spec: spec) else {
      return #expect(Bool(false), "no job")
    }
    #expect(job.inherited == ["secret": "mine", "secretNamespace": "longhorn-system"])
    #expect(job.pipeline.secrets.isEmpty)
  }

  @Test(arguments: [
    (
      clone("sealed", .encrypt(key)), "cannot re-encrypt the backing image, sealed is already encrypted", 5 as Int32,
      Fault.Retry.never
    ),
    (clone("parrot", .decrypt(key)), "cannot re-decrypt the backing image, parrot is already decrypted", 5, .never),
    (
      clone("parrot", .rekey(from: key, to: new)), "cannot re-key the backing image, parrot is not encrypted", 5, .never
    ),
    (
      clone("parrot", .encrypt(.init(namespace: "ns", name: "absent"))),
      "failed to get the secret absent in the namespace ns", 8, .afterFix
    ),
    (
      clone("sealed", .rekey(from: key, to: .init(namespace: "ns", name: "absent"))),
      "failed to get the secret absent in the namespace ns", 8, .afterFix
    ),
    // Known before the source is ready.
    (
      clone("unready", .encrypt(.init(name: "absent"))),
      "failed to get the secret absent in the namespace longhorn-system", 8, .afterFix
    ),
    (
      clone("parrot", .encrypt(.init(name: "vault"))), "unsupported key provider vault for encryption", 2, .never
    ),
    (clone("parrot", .encrypt(.init(name: "empty"))), "missing passphrase for encryption", 8, .afterFix),
    (clone("parrot", .encrypt(.init(name: "lost"))), "the key is lost", 8, .afterFix),
  ])
  func refusals(source: BackingImage.Source, words: String, exitCode: Int32, retry: Fault.Retry) {
    let fault = #expect(throws: Fault.self) { try plan(source) }
    #expect(fault?.message == words)
    #expect(fault?.code.exitCode == exitCode)
    #expect(fault?.retry == retry)
  }
}
