import ChildProtocol
import DroverModel
import Synchronization
import TestKit
import Testing

@testable import Engine

/// A target's credentials: which workers are given them, and what becomes of those that wait for them.
struct CredentialTests {
  private static let url = "s3://golden@us-east-1/images"
  private static let right: [String: JSONValue] = ["AWS_ACCESS_KEY_ID": "right", "AWS_SECRET_ACCESS_KEY": "s3cr3t"]
  private static let wrong: [String: JSONValue] = ["AWS_ACCESS_KEY_ID": "wrong", "AWS_SECRET_ACCESS_KEY": "s3cr3t"]
  private static let given = ["AWS_ACCESS_KEY_ID right", "AWS_SECRET_ACCESS_KEY s3cr3t"]
  private let key = ResourceKey(.backupTarget, "s3")

  /// Stages that take the right access key and refuse every other.
  private static func fixture() async throws -> EngineFixture {
    let door = Door()
    let refused = Fault(.credentialsRefused, "the server refuses the credentials")
    let workers = FakeWorkers(
      copy: { worker, order in
        if door.admits(order) { await worker.succeed(order) } else { await worker.fail(refused) }
      },
      task: { worker, order in
        let isLook = ["probe-target", "sync-target"].contains(order.pipeline.from.first?.stage)
        switch (door.admits(order), isLook) {
        case (true, _): await worker.succeed(order, isLook ? ["available": true] : [:])
        case (false, true):
          await worker.succeed(
            order, ["available": false, "code": "credentials-refused", "reason": .string(refused.message)])
        case (false, false): await worker.fail(refused)
        }
      })
    door.workers.withLock { $0 = workers }
    return try await EngineFixture(workers, configure: { $0.probeSeconds = 1e6 })
  }

  private final class Door: Sendable {
    let workers = Mutex<FakeWorkers?>(nil)

    func admits(_ order: JobOrder) -> Bool {
      let texts = workers.withLock { $0 }?.secrets(.run, of: order.job).last ?? []
      return order.pipeline.credentials.isEmpty || texts.contains { $0.hasSuffix("AWS_ACCESS_KEY_ID right") }
    }
  }

  private func target(_ url: String = CredentialTests.url) -> JSONValue {
    EngineFixture.manifest(
      "BackupTarget", "s3", ["backupTargetURL": .string(url), "credentialSecret": "keys", "pollInterval": "0"])
  }

  private func becomes(_ available: Bool, _ reason: String = "", in fixture: EngineFixture) async throws {
    try await eventually("available: \(available) \(reason)") {
      let status = BackupTarget.Status(try await fixture.engine.resource(self.key).status)
      return status.available == available && status.conditions.first?.reason == reason
    }
  }

  private func given(_ fixture: EngineFixture, _ kind: String) async throws -> [String] {
    let jobs = try await fixture.engine.resources(.job).filter { $0.status["type"]?.string == kind }
    let id = try #require(jobs.first?.metadata.name, "no job of kind \(kind)")
    return try #require(fixture.workers.secrets(.run, of: id).last)
  }

  @Test func everyStageThatReachesTheTargetIsGivenThem() async throws {
    let fixture = try await Self.fixture()
    try await fixture.apply(SecretTests.secret("keys", Self.right))
    try await fixture.apply(target())
    try await becomes(true, in: fixture)
    #expect(try await given(fixture, "probe") == Self.given.map { "0 \($0)" })
    try await fixture.apply(EngineFixture.image("parrot"))
    let dry = try await fixture.apply(EngineFixture.backup("parrot", target: "s3"), dryRun: true)
    #expect(dry.result == .created)
    try await fixture.apply(EngineFixture.backup("parrot", target: "s3"))
    try await fixture.backup("parrot", is: "Completed")
    #expect(try await given(fixture, "backup") == Self.given.map { "1 \($0)" })
    // The URL alone says which target is meant.
    let restore: [String: JSONValue] = ["backup-url": .string("\(Self.url)?backingImage=parrot")]
    try await fixture.apply(EngineFixture.image("back", "restore", restore))
    try await fixture.image("back", is: "ready")
    #expect(try await given(fixture, "restore") == Self.given.map { "0 \($0)" })
    _ = try await fixture.engine.inspectBackup(url: "\(Self.url)?backingImage=parrot", by: .daemon)
    #expect(fixture.workers.secrets(.run).last == Self.given.map { "0 \($0)" })
    let backup = ResourceKey(.backupBackingImage, "parrot")
    _ = try await fixture.engine.delete(backup, force: false, by: .daemon)
    try await fixture.isGone(backup)
    #expect(try await given(fixture, "delete-backup") == Self.given.map { "0 \($0)" })
    #expect(fixture.workers.secrets(.run).filter { !$0.isEmpty }.allSatisfy { $0.count == 2 })
    try await fixture.stop()
  }

  @Test func whatWaitsForTheSecretGoesOnWhenItComes() async throws {
    let fixture = try await Self.fixture()
    try await fixture.apply(target())
    try await becomes(false, "key-missing", in: fixture)
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot", target: "s3"))
    let waiting = try await eventually("the backup waits") {
      let job = try await fixture.job(of: ResourceKey(.backupBackingImage, "parrot"))
      return job.status["error"]?["code"] == "key-missing" ? job : nil
    }
    #expect(waiting.status["error"]?["retry"] == "after-fix")
    #expect(waiting.status["state"] == "pending")
    try await fixture.apply(SecretTests.secret("keys", Self.right))
    try await fixture.backup("parrot", is: "Completed")
    try await becomes(true, in: fixture)
    try await fixture.stop()
  }

  @Test func aChangedSecretIsTriedAtOnce() async throws {
    let fixture = try await Self.fixture()
    try await fixture.apply(SecretTests.secret("keys", Self.wrong))
    try await fixture.apply(target())
    try await becomes(false, "credentials-refused", in: fixture)
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot", target: "s3"))
    try await eventually("the backup waits") {
      try await fixture.backup("parrot").status["error"]?.string?.contains("waits for a change") == true
    }
    try await fixture.apply(SecretTests.secret("keys", Self.right))
    try await becomes(true, in: fixture)
    try await fixture.backup("parrot", is: "Completed")
    try await fixture.apply(SecretTests.secret("keys", Self.wrong))
    try await becomes(false, "credentials-refused", in: fixture)
    try await fixture.stop()
  }

  /// The answer that was found with the old values comes after the new ones.
  @Test func aLookThatIsOvertakenSaysNothing() async throws {
    let fixture = try await Self.fixture()
    try await fixture.apply(SecretTests.secret("keys", Self.right))
    try await fixture.apply(target())
    try await becomes(true, in: fixture)
    let (held, release) = AsyncStream<Void>.makeStream()
    let first = Mutex(true)
    fixture.workers.tasks { worker, order in
      let isFirst = first.withLock { first in
        defer { first = false }
        return first
      }
      let refusal: [String: JSONValue] = ["available": false, "code": "credentials-refused", "reason": "no"]
      guard isFirst else { return await worker.succeed(order, ["available": true]) }
      for await _ in held { break }
      await worker.succeed(order, refusal)
    }
    let before = fixture.workers.launches
    try await fixture.apply(SecretTests.secret("keys", Self.wrong))
    try await eventually("it is looked at") { fixture.workers.launches > before }
    try await fixture.apply(SecretTests.secret("keys", Self.right))
    release.yield()
    try await eventually("it is looked at again") { fixture.workers.launches > before + 1 }
    try await becomes(true, in: fixture)
    for try await event in fixture.engine.events(since: 0, follow: false) where event.kind == "backuptarget" {
      #expect(!event.message.contains("not available"), "\(event)")
    }
    try await fixture.stop()
  }

  @Test func aSecretThatATargetNeedsStays() async throws {
    let fixture = try await Self.fixture()
    try await fixture.apply(SecretTests.secret("keys", Self.right))
    try await fixture.apply(target())
    let secret = ResourceKey(.secret, "keys")
    let refusal = await fixture.fault { try await fixture.engine.delete(secret, force: false, by: .daemon) }
    #expect(refusal?.code == .inUse && refusal?.message.contains("backuptarget/s3") == true, "\(refusal as Any)")
    try await becomes(true, in: fixture)
    _ = try await fixture.engine.delete(key, force: false, by: .daemon)
    try await fixture.isGone(key)
    // A folder wants no credentials, whatever its manifest says.
    try await fixture.apply(target("file:///nonexistent/elsewhere"))
    _ = try await fixture.engine.delete(secret, force: false, by: .daemon)
    try await fixture.isGone(secret)
    try await becomes(true, in: fixture)
    try await fixture.stop()
  }

  /// What is left in the store is removed with the values that the Secret has then, under the name that it has then.
  @Test func aDiscardIsGivenThem() async throws {
    let fixture = try await Self.fixture()
    try await fixture.apply(SecretTests.secret("keys", Self.right))
    try await fixture.apply(target())
    try await becomes(true, in: fixture)
    fixture.workers.copies { worker, order in
      if order.pipeline.credentials.isEmpty { return await worker.succeed(order) }
      await worker.runUntilStopped()
    }
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot", target: "s3"))
    try await fixture.backup("parrot", is: "InProgress")
    try await fixture.apply(SecretTests.secret("new-keys", ["AWS_ACCESS_KEY_ID": "right", "AWS_CERT": "none"]))
    try await fixture.apply(
      EngineFixture.manifest(
        "BackupTarget", "s3",
        ["backupTargetURL": .string(Self.url), "credentialSecret": "new-keys", "pollInterval": "0"]))
    let id = try await fixture.job(of: ResourceKey(.backupBackingImage, "parrot")).metadata.name
    _ = try await fixture.engine.cancel(job: id, by: .daemon)
    try await fixture.job(id, is: "cancelled")
    #expect(fixture.workers.secrets(.discard, of: id) == [["1 AWS_ACCESS_KEY_ID right", "1 AWS_CERT none"]])
    try await fixture.stop()
  }
}
