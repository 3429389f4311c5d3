import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Engine

/// A target's availability, as the stage `probe-target` tells it: its task succeeds, whatever the answer is.
struct TargetTests {
  private let store = "file:///nonexistent/elsewhere"
  private let key = ResourceKey(.backupTarget, "other")

  /// A store that is there or not; backups fail and looks answer accordingly.
  private final class Store: Sendable {
    private let isThere: Mutex<Bool>
    init(isThere: Bool) { self.isThere = Mutex(isThere) }

    func set(_ there: Bool) { isThere.withLock { $0 = there } }

    func fixture() async throws -> EngineFixture {
      try await EngineFixture(
        FakeWorkers(
          copy: { worker, order in
            if order.pipeline.to.last?.stage == "backup", !self.isThere.withLock({ $0 }) {
              await worker.fail(Fault(.targetUnreachable, "no such folder"))
            } else {
              await worker.succeed(order)
            }
          },
          task: { worker, order in
            let there = self.isThere.withLock { $0 }
            await worker.succeed(
              order,
              there
                ? ["available": true]
                : ["available": false, "code": "target-unreachable", "reason": "no such folder", "hint": "mount it"])
          }), configure: { $0.probeSeconds = 1e6 })
    }
  }

  private func target(_ url: String, poll: String = "0") -> JSONValue {
    EngineFixture.manifest(
      "BackupTarget", "other", ["backupTargetURL": .string(url), "pollInterval": .string(poll)])
  }

  private func status(_ fixture: EngineFixture) async throws -> BackupTarget.Status {
    BackupTarget.Status(try await fixture.engine.resource(key).status)
  }

  private func becomes(_ available: Bool, _ fixture: EngineFixture) async throws {
    try await eventually("available: \(available)") {
      let status = try await self.status(fixture)
      return status.available == available && !status.conditions.isEmpty
    }
  }

  private func backupWaits(_ fixture: EngineFixture) async throws {
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot", target: "other"))
    try await eventually("the backup waits") {
      try await fixture.backup("parrot").status["error"]?.string?.contains("waits for a change") == true
    }
  }

  @Test func anAnswerThatItIsNotThereMakesItUnavailable() async throws {
    let fixture = try await Store(isThere: false).fixture()
    try await fixture.apply(target(store))
    try await becomes(false, fixture)
    let condition = try #require(try await status(fixture).conditions.first)
    #expect(condition.status)
    #expect(condition.reason == "target-unreachable")
    #expect(condition.message == "no such folder")
    #expect(try await status(fixture).lastSyncedAt == nil)
    try await fixture.job(try await fixture.job(of: key).metadata.name, is: "succeeded")
    try await fixture.stop()
  }

  @Test func aPollSeesItGoAndComeAndWakesWhatWaits() async throws {
    let there = Store(isThere: true)
    let fixture = try await there.fixture()
    try await fixture.apply(target(store, poll: "1s"))
    try await becomes(true, fixture)
    there.set(false)
    try await becomes(false, fixture)
    try await backupWaits(fixture)
    there.set(true)
    try await fixture.backup("parrot", is: "Completed")
    try await becomes(true, fixture)
    try await fixture.stop()
  }

  @Test func applyingItAgainLooksAgain() async throws {
    let there = Store(isThere: false)
    let fixture = try await there.fixture()
    try await fixture.apply(target(store))
    try await becomes(false, fixture)
    try await backupWaits(fixture)
    there.set(true)
    let outcome = try await fixture.apply(target(store))
    #expect(outcome.result == .unchanged)
    #expect(outcome.object.status["conditions"] == [], "the old answer is not taken for the new one")
    try await becomes(true, fixture)
    try await fixture.backup("parrot", is: "Completed")
    try await fixture.stop()
  }

  @Test func aBackupInAStoreThatIsGoneIsForgottenByForce() async throws {
    let there = Store(isThere: true)
    let fixture = try await there.fixture()
    try await fixture.apply(target(store, poll: "1s"))
    try await becomes(true, fixture)
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot", target: "other"))
    try await fixture.backup("parrot", is: "Completed")
    there.set(false)
    try await becomes(false, fixture)
    let backup = ResourceKey(.backupBackingImage, "parrot")
    #expect(try await fixture.engine.delete(backup, force: true, by: .daemon) == nil)
    try await fixture.isGone(backup)
    #expect(!fixture.workers.orders.contains { $0.pipeline.from.first?.stage == "delete-backup" })
    try await fixture.stop()
  }
}
