import ChildProtocol
import DroverModel
import LinuxSystem
import TestKit
import Testing

@testable import Engine

/// Secrets as objects, and how their values reach workers and nothing else.
struct SecretTests {
  private static let passphrase = "correct horse battery staple"

  /// Encrypted is what went through `crypto` into the image, or came through `rekey`, or is copied from such a file.
  private static func workers(wrong: Fault? = nil) -> FakeWorkers {
    FakeWorkers(copy: { worker, order in
      if let wrong, !order.pipeline.secrets.isEmpty { return await worker.fail(wrong) }
      let stages = order.pipeline.to.map(\.stage) + order.pipeline.from.map(\.stage)
      let encrypts = order.pipeline.to.first?.stage == "crypto" || stages.contains("rekey")
      var values: [String: JSONValue] = ["encrypted": .bool(encrypts)]
      if encrypts { values["luks"] = ["version": 2, "cipher": "aes-xts-plain64", "keySlots": [0]] }
      await worker.succeed(order, values)
    })
  }

  static func secret(
    _ name: String, _ values: [String: JSONValue] = ["CRYPTO_KEY_VALUE": .string(passphrase)],
    namespace: String = "longhorn-system"
  ) -> JSONValue {
    [
      "apiVersion": "v1", "kind": "Secret", "metadata": ["name": .string(name), "namespace": .string(namespace)],
      "stringData": .object(values),
    ]
  }

  private static func clone(
    _ name: String, of source: String, _ encryption: String, _ secret: String = "key", new: String? = nil,
    namespace: String = "longhorn-system"
  ) -> JSONValue {
    var parameters: [String: JSONValue] = [
      "backing-image": .string(source), "encryption": .string(encryption), "secret": .string(secret),
      "secret-namespace": .string(namespace),
    ]
    if let new {
      parameters["new-secret"] = .string(new)
      parameters["new-secret-namespace"] = .string(namespace)
    }
    return EngineFixture.image(name, "clone", parameters)
  }

  private func secret(_ name: String, in fixture: EngineFixture) async throws -> Resource {
    try await fixture.engine.resource(ResourceKey(.secret, name))
  }

  @Test func appliedReadAndAppliedAgain() async throws {
    let fixture = try await EngineFixture()
    let created = try await fixture.apply(Self.secret("key"))
    #expect(created.result == .created)
    #expect(created.object.apiVersion == "v1" && created.object.kind == "Secret")
    #expect(created.object.metadata.name == "key" && created.object.metadata.namespace == "longhorn-system")
    #expect(created.object.spec == ["type": "Opaque"])
    #expect(created.object.status == ["keys": ["CRYPTO_KEY_VALUE"]])
    #expect(try await fixture.apply(Self.secret("key")).result == .unchanged)
    let changed = try await fixture.apply(
      Self.secret("key", ["CRYPTO_KEY_VALUE": "another", "CRYPTO_PBKDF": "pbkdf2"]))
    #expect(changed.result == .configured)
    #expect(changed.object.status == ["keys": ["CRYPTO_KEY_VALUE", "CRYPTO_PBKDF"]])
    #expect(changed.object.metadata.generation == 2)
    #expect(try await fixture.apply(Self.secret("key", ["CRYPTO_KEY_VALUE": "x"]), dryRun: true).result == .configured)
    #expect(try await secret("key", in: fixture).status == changed.object.status)
    #expect(try await fixture.engine.resources(.secret).count == 1)
    try await fixture.stop()
  }

  @Test func namespacesAreApart() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(Self.secret("key"))
    let other = try await fixture.apply(Self.secret("key", ["a": "b"], namespace: "prod"))
    #expect(other.result == .created)
    #expect(other.object.metadata.name == "key" && other.object.metadata.namespace == "prod")
    #expect(try await secret("prod/key", in: fixture).status == ["keys": ["a"]])
    #expect(try await secret("key", in: fixture).status == ["keys": ["CRYPTO_KEY_VALUE"]])
    _ = try await fixture.engine.delete(ResourceKey(.secret, "prod/key"), force: false, by: .daemon)
    try await fixture.isGone(ResourceKey(.secret, "prod/key"))
    _ = try await secret("key", in: fixture)
    try await fixture.stop()
  }

  @Test func aDryRunMakesNothing() async throws {
    let fixture = try await EngineFixture()
    #expect(try await fixture.apply(Self.secret("key"), dryRun: true).result == .created)
    #expect(try Folder.list(fixture.folder("state/keys")).isEmpty)
    try await fixture.isGone(ResourceKey(.secret, "key"))
    try await fixture.stop()
  }

  @Test func theValueGoesToTheWorkerAndNowhereElse() async throws {
    let fixture = try await EngineFixture(Self.workers())
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    let dry = try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"), dryRun: true)
    #expect(dry.plan != nil)
    #expect(fixture.workers.secrets(.plan).last == ["1 passphrase \(Self.passphrase)"])
    try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    try await fixture.image("sealed", is: "ready")
    let job = try await fixture.job(ofImage: "sealed")
    #expect(fixture.workers.secrets(.run, of: job.metadata.name) == [["1 passphrase \(Self.passphrase)"]])
    #expect(job.status["pipeline"]?["secrets"]?.array?.count == 1)

    var shown = "\(job) \(try await fixture.engine.describe(ResourceKey(.secret, "key")))"
    shown += "\(try await fixture.engine.describe(ResourceKey(.backingImage, "sealed")))"
    for try await event in fixture.engine.events(since: 0, follow: false) { shown += "\(event)" }
    #expect(!shown.contains(Self.passphrase))
    try await fixture.stop()
    try expectNoTrace(of: Self.passphrase, below: fixture.folder.path)
  }

  /// In no file and in no name; the write-ahead log counts as well.
  private func expectNoTrace(of text: String, below folder: String) throws {
    for name in try Folder.list(folder) {
      let path = "\(folder)/\(name)"
      if try #require(try FileStatus.of(path, followLinks: false)).isFolder {
        try expectNoTrace(of: text, below: path)
      } else {
        #expect(try !Folder.readFile(path, limit: 64 << 20).contains(pattern: Array(text.utf8)), "\(path)")
      }
    }
  }

  @Test func encryptedDecryptedAndRekeyed() async throws {
    let fixture = try await EngineFixture(Self.workers())
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(Self.secret("new", ["CRYPTO_KEY_VALUE": "new passphrase"]))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    let sealed = try await fixture.image("sealed", is: "ready")
    #expect(sealed.status["encrypted"] == true)
    #expect(sealed.status["luks"]?["cipher"] == "aes-xts-plain64")
    #expect(sealed.spec["secret"] == "key" && sealed.spec["secretNamespace"] == "longhorn-system")
    #expect(sealed.status["secret"] == "key" && sealed.status["secretNamespace"] == "longhorn-system")
    #expect(try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt")).result == .unchanged)

    try await fixture.apply(Self.clone("other", of: "sealed", "rekey", new: "new"))
    let other = try await fixture.image("other", is: "ready")
    #expect(other.status["encrypted"] == true && other.status["secret"] == "new")
    let job = try await fixture.job(ofImage: "other")
    #expect(
      fixture.workers.secrets(.run, of: job.metadata.name)
        == [["1 passphrase \(Self.passphrase)", "1 new-passphrase new passphrase"]])

    try await fixture.apply(Self.clone("plain", of: "sealed", "decrypt"))
    let plain = try await fixture.image("plain", is: "ready")
    #expect(plain.status["encrypted"] == false)
    #expect(plain.status["secret"] == nil && plain.spec["secret"] == nil)

    // By the header, not by the wish.
    #expect(
      await fixture.fault { try await fixture.apply(Self.clone("ab", of: "sealed", "encrypt")) }?.message
        == "cannot re-encrypt the backing image, sealed is already encrypted")
    #expect(
      await fixture.fault { try await fixture.apply(Self.clone("ab", of: "plain", "decrypt")) }?.message
        == "cannot re-decrypt the backing image, plain is already decrypted")
    try await fixture.stop()
  }

  @Test func whatNeedsASecretKeepsIt() async throws {
    let fixture = try await EngineFixture(Self.workers())
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(Self.secret("s3", ["AWS_ACCESS_KEY_ID": "a", "CRYPTO_KEY_VALUE": "x"]))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    try await fixture.image("sealed", is: "ready")
    try await fixture.apply(
      EngineFixture.manifest(
        "BackupTarget", "usb", ["backupTargetURL": "s3://usb@us-east-1/", "credentialSecret": "s3"]))

    let engine = fixture.engine
    for force in [false, true] {
      let refusal = await fixture.fault {
        try await engine.delete(ResourceKey(.secret, "key"), force: force, by: .daemon)
      }
      #expect(refusal?.code.exitCode == 5)
      #expect(refusal?.message.contains("backingimage/sealed") == true)
    }
    let target = await fixture.fault { try await engine.delete(ResourceKey(.secret, "s3"), force: false, by: .daemon) }
    #expect(target?.message.contains("backuptarget/usb") == true)
    // New credentials are nothing to refuse.
    #expect(try await fixture.apply(Self.secret("s3", ["AWS_ACCESS_KEY_ID": "b"])).result == .configured)

    let changed = Self.secret("key", ["CRYPTO_KEY_VALUE": "another"])
    let refusal = await fixture.fault { try await fixture.apply(changed) }
    #expect(refusal?.code.exitCode == 5)
    #expect(refusal?.message.contains("backingimage/sealed") == true)
    #expect(refusal?.message.contains("another") == false)
    let more = Self.secret("key", ["CRYPTO_KEY_VALUE": .string(Self.passphrase), "CRYPTO_PBKDF": "pbkdf2"])
    #expect(try await fixture.apply(more).result == .configured)
    #expect(
      try await engine.describe(ResourceKey(.secret, "key")).dependents == [ResourceKey(.backingImage, "sealed")])

    _ = try await engine.delete(ResourceKey(.backingImage, "sealed"), force: false, by: .daemon)
    try await fixture.isGone(ResourceKey(.backingImage, "sealed"))
    #expect(try await fixture.apply(changed).result == .configured)
    _ = try await engine.delete(ResourceKey(.secret, "key"), force: false, by: .daemon)
    try await fixture.isGone(ResourceKey(.secret, "key"))
    try await fixture.stop()
  }

  @Test func anImageThatIsBeingMadeHoldsItsSecretToo() async throws {
    let fixture = try await EngineFixture(FakeWorkers(copy: { worker, _ in await worker.runUntilStopped() }))
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    let refusal = await fixture.fault {
      try await fixture.engine.delete(ResourceKey(.secret, "key"), force: false, by: .daemon)
    }
    #expect(refusal?.message.contains("backingimage/sealed") == true)
    try await fixture.stop()
  }

  @Test func aMissingSecretIsRefusedAtOnce() async throws {
    let fixture = try await EngineFixture(Self.workers())
    try await fixture.apply(EngineFixture.image("parrot"))
    let refusal = await fixture.fault { try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt")) }
    #expect(refusal?.code.exitCode == 8)
    #expect(refusal?.message == "failed to get the secret key in the namespace longhorn-system")
    try await fixture.isGone(ResourceKey(.backingImage, "sealed"))
    try await fixture.stop()
  }

  @Test func aWrongPassphraseFailsAtOnceAndACorrectedOneGoesOn() async throws {
    let workers = Self.workers(wrong: Fault(.wrongKey, "no key slot opens with it"))
    let fixture = try await EngineFixture(workers)
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    try await fixture.image("sealed", is: "failed")
    let job = try await fixture.job(ofImage: "sealed")
    #expect(job.status["attempt"] == 1 && job.status["error"]?["code"] == "wrong-key")
    // A failed image needs nothing.
    #expect(try await fixture.apply(Self.secret("key", ["CRYPTO_KEY_VALUE": "right"])).result == .configured)
    workers.copies { await $0.succeed($1, ["encrypted": true]) }
    _ = try await fixture.engine.retry(job: job.metadata.name, by: .daemon)
    try await fixture.image("sealed", is: "ready")
    #expect(workers.secrets(.run, of: job.metadata.name).last == ["1 passphrase right"])
    try await fixture.stop()
  }

  /// What an engine that ended has left.
  private func folder(after use: (EngineFixture) async throws -> Void) async throws -> TemporaryFolder {
    let fixture = try await EngineFixture(Self.workers())
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    try await use(fixture)
    try await fixture.stop()
    return fixture.folder
  }

  /// The next engine on it; the lock goes with the last reference to the first.
  private func again(_ folder: TemporaryFolder) async throws -> EngineFixture {
    try await eventually("the lock is free") { try? await EngineFixture(Self.workers(), folder: folder) }
  }

  @Test func aLostKeyIsWaitedForAndNothingIsLost() async throws {
    let folder = try await folder { _ in }
    let file = folder("state/keys/sealing.key")
    let key = try Folder.readFile(file, limit: 64)
    try Folder.remove(file: file)

    let later = try await again(folder)
    for document in [
      Self.clone("sealed", of: "parrot", "encrypt"), Self.secret("key"), Self.secret("other"),
    ] {
      let fault = await later.fault { try await later.apply(document) }
      #expect(fault?.code == .keyMissing)
      #expect(fault?.message.contains(file) == true)
    }
    #expect(try FileStatus.of(file) == nil)
    #expect(try await secret("key", in: later).status == ["keys": ["CRYPTO_KEY_VALUE"]])
    try Folder.writeDurably(file, [UInt8](repeating: 1, count: 32), permissions: 0o600)
    let wrong = await later.fault { try await later.apply(Self.clone("sealed", of: "parrot", "encrypt")) }
    #expect(wrong?.code == .wrongKey)

    try Folder.writeDurably(file, key, permissions: 0o600)
    try await later.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    try await later.image("sealed", is: "ready")
    try await later.stop()
  }

  @Test func aJobWhoseKeyIsGoneWaitsForIt() async throws {
    let fixture = try await EngineFixture(Self.workers(), configure: { $0.probeSeconds = 25 })
    try await fixture.apply(Self.secret("key"))
    // The clone is accepted while its source is on its way.
    let hold = ChangeSignal()
    fixture.workers.copies { worker, order in
      if order.pipeline.from.first?.stage == "download" { await hold.wait(past: 0) }
      await worker.succeed(order, ["encrypted": .bool(order.pipeline.to.first?.stage == "crypto")])
    }
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    let file = fixture.folder("state/keys/sealing.key")
    let key = try Folder.readFile(file, limit: 64)
    try Folder.remove(file: file)
    // It was known while it could be opened, so the job starts, and finds it gone only then.
    hold.raise()
    let id = try await fixture.job(ofImage: "sealed").metadata.name
    try await eventually("the job waits") {
      try await fixture.engine.resource(ResourceKey(.job, id)).status["error"]?["code"] == "key-missing"
    }
    let job = try await fixture.engine.resource(ResourceKey(.job, id))
    #expect(job.status["state"] == "pending" && job.status["error"]?["retry"] == "after-fix")
    #expect(fixture.workers.secrets(.run, of: id).isEmpty, "a worker was started without its secret")
    try Folder.writeDurably(file, key, permissions: 0o600)
    // By itself within a probe's time, or at once where the Secret is applied.
    try await fixture.image("sealed", is: "ready")
    try await fixture.stop()
  }

  @Test func aSecretThatAppearsLetsItsJobsGoOn() async throws {
    let fixture = try await EngineFixture(Self.workers(), configure: { $0.probeSeconds = 1e9 })
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    fixture.workers.copies { worker, order in
      await worker.fail(Fault(.wrongKey, "no", retry: .never))
    }
    try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    try await fixture.image("sealed", is: "failed")
    // Nobody holds it now.
    _ = try await fixture.engine.delete(ResourceKey(.secret, "key"), force: false, by: .daemon)
    try await fixture.isGone(ResourceKey(.secret, "key"))
    let id = try await fixture.job(ofImage: "sealed").metadata.name
    _ = try await fixture.engine.retry(job: id, by: .daemon)
    let waiting = try await eventually("the job waits") { () -> Resource? in
      let job = try await fixture.engine.resource(ResourceKey(.job, id))
      return job.status["error"]?["code"] == "key-missing" ? job : nil
    }
    #expect(waiting.status["state"] == "pending")
    fixture.workers.copies { await $0.succeed($1, ["encrypted": true]) }
    try await fixture.apply(Self.secret("key", ["CRYPTO_KEY_VALUE": "right"]))
    try await fixture.image("sealed", is: "ready")
    try await fixture.stop()
  }

  @Test func discardsHaveTheSecretWhereItCanBeHad() async throws {
    let workers = FakeWorkers(copy: { worker, order in
      order.pipeline.from.first?.stage == "download" ? await worker.succeed(order) : await worker.runUntilStopped()
    })
    let fixture = try await EngineFixture(workers)
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    for isLost in [false, true] {
      let name = isLost ? "second" : "first"
      try await fixture.apply(Self.clone(name, of: "parrot", "encrypt"))
      try await eventually("it runs") {
        workers.orders.contains { $0.pipeline.to.last?.params["name"] == .string(name) }
      }
      let id = try await fixture.job(ofImage: name).metadata.name
      try await eventually("it was admitted") {
        try await fixture.engine.resource(ResourceKey(.job, id)).status["state"] == "running"
      }
      if isLost { try Folder.remove(file: fixture.folder("state/keys/sealing.key")) }
      _ = try await fixture.engine.cancel(job: id, by: .daemon)
      try await fixture.job(id, is: "cancelled")
      let discards = workers.secrets(.discard, of: id)
      if !discards.isEmpty { #expect(discards.last == (isLost ? [] : ["1 passphrase \(Self.passphrase)"])) }
    }
    try await fixture.stop()
  }

  @Test func valuesThatNobodyCanOpenAreForgottenByForce() async throws {
    let folder = try await folder { fixture in
      try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
      try await fixture.image("sealed", is: "ready")
    }
    try Folder.remove(file: folder("state/keys/sealing.key"))

    let later = try await again(folder)
    let engine = later.engine
    #expect(
      await later.fault { try await engine.delete(ResourceKey(.secret, "key"), force: false, by: .daemon) } != nil)
    _ = try await engine.delete(ResourceKey(.secret, "key"), force: true, by: .daemon)
    try await later.isGone(ResourceKey(.secret, "key"))
    // The same secret, applied again, is sealed with a new key.
    #expect(try await later.apply(Self.secret("key")).result == .created)
    try await later.apply(Self.clone("plain", of: "sealed", "decrypt"))
    try await later.image("plain", is: "ready")
    try await later.stop()
  }

  @Test func aRestoredImageTakesOverTheSecretOfItsBackup() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers(copy: { worker, order in
        await worker.succeed(
          order, ["encrypted": true, "secret": "key", "secretNamespace": "prod", "luks": ["version": 2]])
      }))
    let url: JSONValue = "file:///backups?backingImage=sealed"
    try await fixture.apply(EngineFixture.image("restored", "restore", ["backup-url": url]))
    let restored = try await fixture.image("restored", is: "ready")
    #expect(restored.status["secret"] == nil)
    #expect(restored.status["message"]?.string?.contains("prod/key, which does not exist here") == true)
    await fixture.engine.lookAtImages()
    #expect(try await fixture.image("restored").status["message"] == restored.status["message"])

    try await fixture.apply(Self.secret("key", namespace: "prod"))
    let named = try await fixture.image("restored")
    #expect(named.status["secret"] == "key" && named.status["secretNamespace"] == "prod")
    #expect(named.status["message"] == "")
    // One that comes later has it at once, unless its manifest names another.
    try await fixture.apply(EngineFixture.image("again", "restore", ["backup-url": url]))
    #expect(try await fixture.image("again", is: "ready").status["secretNamespace"] == "prod")
    var own = EngineFixture.image("own", "restore", ["backup-url": url])
    if case .object(var members) = own, case .object(var spec)? = members["spec"] {
      spec["secret"] = "mine"
      members["spec"] = .object(spec)
      own = .object(members)
    }
    try await fixture.apply(own)
    let mine = try await fixture.image("own", is: "ready")
    #expect(mine.status["secret"] == "mine" && mine.status["secretNamespace"] == "longhorn-system")
    let refusal = await fixture.fault {
      try await fixture.engine.delete(ResourceKey(.secret, "prod/key"), force: false, by: .daemon)
    }
    #expect(refusal?.message.contains("backingimage/again, backingimage/restored") == true)
    try await fixture.stop()
  }

  @Test func aBackupNamesTheSecretOfItsImage() async throws {
    let fixture = try await EngineFixture(Self.workers())
    try await fixture.apply(Self.secret("key"))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(Self.clone("sealed", of: "parrot", "encrypt"))
    try await fixture.image("sealed", is: "ready")
    try await fixture.apply(EngineFixture.backup("sealed"))
    try await fixture.backup("sealed", is: "Completed")
    let order = try #require(fixture.workers.orders.last)
    #expect(order.pipeline.to.last?.params["secret"] == "key")
    #expect(order.pipeline.to.last?.params["secretNamespace"] == "longhorn-system")
    try await fixture.stop()
  }

  @Test func aDeletedSecretLeavesNoRow() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(Self.secret("key"))
    _ = try await fixture.engine.delete(ResourceKey(.secret, "key"), force: false, by: .daemon)
    try await fixture.isGone(ResourceKey(.secret, "key"))
    #expect(try !fixture.engine.catalog.holdsSecrets())
    try await fixture.stop()
  }
}
