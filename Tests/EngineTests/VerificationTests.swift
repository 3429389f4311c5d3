import ChildProtocol
import DroverModel
import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Engine

/// Jobs that look after a whole store, and what they say of targets and backups.
struct VerificationTests {
  private let target = ResourceKey(.backupTarget, "default")
  private static let good: [String: JSONValue] = [
    "kind": "BackupBackingImage", "name": "parrot", "state": "good", "blocks": 3, "damagedBlocks": 0,
  ]
  private static let damaged: [String: JSONValue] = [
    "kind": "BackupBackingImage", "name": "parrot", "state": "damaged", "blocks": 3, "damagedBlocks": 2,
    "damagedInPlace": 0, "reason": "2 of its 3 blocks are damaged",
  ]

  /// Answers verifications with `finding`, which a test may change.
  private final class Finding: Sendable {
    private let state = Mutex(VerificationTests.good)
    var value: [String: JSONValue] {
      get { state.withLock { $0 } }
      set { state.withLock { $0 = newValue } }
    }
  }

  private func fixture(
    _ finding: Finding, configure: (inout EngineConfiguration) -> Void = { _ in }
  ) async throws -> EngineFixture {
    let fixture = try await EngineFixture(
      FakeWorkers(task: { worker, order in
        var values: [String: JSONValue] = [:]
        if order.pipeline.from.first?.stage == "verify-target" {
          let found = finding.value
          values = ["backups": [.object(found)], "damagedBackups": found["state"] == "good" ? 0 : 1]
        }
        await worker.succeed(order, values)
      }), configure: configure)
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot"))
    try await fixture.backup("parrot", is: "Completed")
    return fixture
  }

  @discardableResult
  private func tend(_ fixture: EngineFixture, _ tending: StoreTending) async throws -> Resource {
    let job = try await fixture.engine.tend(target: "default", tending, by: .daemon)
    return try await fixture.job(job.metadata.name, is: "succeeded")
  }

  private func verification(_ fixture: EngineFixture) async throws -> BackupTarget.Status.Verification {
    BackupTarget.Status(try await fixture.engine.resource(target).status).verification
  }

  private func backup(_ fixture: EngineFixture) async throws -> BackupBackingImage.Status {
    BackupBackingImage.Status(try await fixture.backup("parrot").status)
  }

  @Test func onlyWhatWasReadIsVerified() async throws {
    let fixture = try await fixture(Finding())
    try await tend(fixture, .verify(.structure, repair: true))
    #expect(try await backup(fixture).lastVerified == nil)
    try await tend(fixture, .verify(.all, repair: true))
    #expect(try await backup(fixture).lastVerified != nil)
    #expect(try await verification(fixture).lastCompletedAt != nil)
    try await fixture.stop()
  }

  @Test func samplesGoRoundAndThenVouch() async throws {
    let fixture = try await fixture(Finding())
    // The round must begin after the backup was made, by whole seconds.
    let start = BootClock.seconds()
    try await eventually("another second of the engine's clock") {
      (BootClock.seconds() - start) * EngineFixture.speed > 2
    }
    var starts: [String?] = []
    for round in 1...3 {
      let job = try await tend(fixture, .verify(.sample(1 / 3.0), repair: true))
      let params = job.status["pipeline"]?["from"]?.array?.first?["params"]
      starts.append(params?["start"]?.string)
      #expect((params?["end"] == nil) == (round == 3))
      let state = try await verification(fixture)
      #expect((state.cursor == nil) == (round == 3))
      #expect((state.lastCompletedAt == nil) == (round < 3))
    }
    #expect(starts[0] == "0000000000000000" && starts[1]?.hasPrefix("5555") == true)
    #expect(starts[2]?.hasPrefix("aaaa") == true)
    try await fixture.stop()
  }

  /// The pure rules, with times that are easy to see.
  @Test func aRoundVouchesForWhatWasThereFromItsBeginning() {
    func status(created: String, damagedAt: String? = nil) -> [String: JSONValue] {
      BackupBackingImage.Status(
        state: .completed, backingImage: "parrot", backupCreatedAt: created, damagedAt: damagedAt
      ).fields
    }
    func last(_ end: String?) -> Job {
      var params = StoreTending.verify(.sample(0.5), repair: true).params
      params["start"] = "8000000000000000"
      params["end"] = .of(end)
      return Job(
        id: "job-1", kind: .verify, owner: target,
        pipeline: Pipeline(from: [.init("verify-target", .task, params)], to: []), state: .succeeded, createdAt: 0)
    }
    var round = BackupTarget.Status.Verification()
    (round.cursor, round.roundStartedAt) = ("8000000000000000", "2026-01-05T10:00:00Z")
    func verified(_ created: String, _ end: String?, _ round: BackupTarget.Status.Verification) -> String? {
      BackupBackingImage.Status(
        VerificationController.judged(status(created: created), Self.good, last(end), round, now: 0)
      ).lastVerified
    }
    #expect(verified("2026-01-05T09:59:59Z", nil, round) == "2026-01-05T10:00:00Z")
    #expect(verified("2026-01-05T10:00:01Z", nil, round) == nil, "made within the round")
    #expect(verified("2026-01-05T09:59:59Z", "9000000000000000", round) == nil, "the round is not over")
    round.cursor = "7000000000000000"
    #expect(verified("2026-01-05T09:59:59Z", nil, round) == nil, "another part was to come")
  }

  /// An attempt that goes on doesn't read what came since the first one began.
  @Test func aContinuedVerificationVouchesForWhatWasThere() {
    func verified(_ created: String, attempt: Int) -> BackupBackingImage.Status {
      var job = Job(
        id: "job-1", kind: .verify, owner: target,
        pipeline: Pipeline(
          from: [.init("verify-target", .task, StoreTending.verify(.all, repair: true).params)], to: []),
        state: .succeeded, createdAt: 1_767_607_200)
      job.attempt = attempt
      let status = BackupBackingImage.Status(
        state: .error, backingImage: "parrot", backupCreatedAt: created, damagedAt: created, damagedBlocks: 1)
      return BackupBackingImage.Status(
        VerificationController.judged(status.fields, Self.good, job, BackupTarget.Status.Verification(), now: 0))
    }
    // The job began at 2026-01-05T10:00:00Z.
    #expect(verified("2026-01-05T09:59:59Z", attempt: 2).lastVerified == "2026-01-05T10:00:00Z")
    #expect(verified("2026-01-05T09:59:59Z", attempt: 2).state == .completed)
    #expect(verified("2026-01-05T10:00:01Z", attempt: 2).lastVerified == nil)
    #expect(verified("2026-01-05T10:00:01Z", attempt: 2).state == .error, "the damage may be there still")
    #expect(verified("2026-01-05T10:00:01Z", attempt: 1).lastVerified != nil)
  }

  /// A block that was left where it is counts as present: backing up again mends what is missing, and not that one.
  @Test(arguments: [0, 4096]) func aBackupMendsNoBlockThatLiesInPlace(_ uploaded: Int64) {
    func backedUp(inPlace: Int64?) -> BackupBackingImage.Status {
      let old = BackupBackingImage.Status(
        state: .error, backingImage: "parrot", damagedAt: "2026-01-05T10:00:00Z", damagedBlocks: 2,
        damagedInPlace: inPlace)
      let job = Job(
        id: "job-1", kind: .backup, owner: ResourceKey(.backupBackingImage, "parrot"),
        pipeline: Pipeline(from: [], to: []), state: .succeeded, result: ["newlyUploadedDataSize": .int(uploaded)],
        createdAt: 0)
      return BackupBackingImage.Status(BackupController.reflect(old.fields, JobRecord(job)))
    }
    let same = backedUp(inPlace: nil)
    #expect(same.state == .error && same.damagedBlocks == 2 && same.error.contains("verify --all"))
    let part = backedUp(inPlace: 1)
    #expect(part.state == .error && part.damagedBlocks == 1 && part.damagedInPlace == 1)
    #expect(part.error.hasPrefix("1 bad blocks of it lie in place") && part.damagedAt != nil)
    let mended = backedUp(inPlace: 0)
    #expect(mended.state == .completed && mended.error == "" && mended.damagedAt == nil)
    #expect(mended.damagedBlocks == nil && mended.damagedInPlace == nil)
  }

  private func job(_ scope: StoreTending.Scope, attempt: Int = 1) -> Job {
    var job = Job(
      id: "job-1", kind: .verify, owner: target,
      pipeline: Pipeline(
        from: [.init("verify-target", .task, StoreTending.verify(scope, repair: true).params)], to: []),
      state: .succeeded, createdAt: 1_767_607_200)
    job.attempt = attempt
    return job
  }

  private func finding(_ state: String, _ blocks: Int64, inPlace: Int64 = 0) -> [String: JSONValue] {
    [
      "kind": "BackupBackingImage", "name": "parrot", "state": .string(state),
      "reason": .string("\(blocks) of its blocks"),
      "damagedBlocks": .int(blocks), "damagedInPlace": .int(inPlace),
    ]
  }

  /// What a look at everything has counted is not forgotten by one at less.
  @Test func aLesserLookForgetsNoDamage() {
    func judged(_ old: BackupBackingImage.Status, _ finding: [String: JSONValue], _ job: Job)
      -> BackupBackingImage.Status
    {
      BackupBackingImage.Status(VerificationController.judged(old.fields, finding, job, .init(), now: 1_767_700_000))
    }
    let completed = BackupBackingImage.Status(
      state: .completed, backingImage: "parrot", backupCreatedAt: "2026-01-06T10:00:00Z", lastVerified: "x")
    let full = judged(completed, finding("damaged", 3, inPlace: 2), job(.all))
    #expect(full.state == .error && full.damagedBlocks == 3 && full.damagedInPlace == 2 && full.lastVerified == nil)
    for lesser in [job(.structure), job(.sample(0.5)), job(.all, attempt: 2)] {
      let missing = judged(full, finding("damaged", 1), lesser)
      #expect(missing.damagedBlocks == 3 && missing.damagedInPlace == 2 && missing.error == full.error)
      #expect(judged(full, finding("good", 0), lesser).damagedInPlace == 2)
      #expect(judged(full, finding("good", 0), lesser).state == .error)
    }
    let cut = judged(full, finding("unreadable", 0), job(.all))
    #expect(cut.damagedInPlace == 2, "nobody saw its blocks")
    let moved = judged(full, finding("damaged", 3, inPlace: 0), job(.all))
    #expect(moved.damagedBlocks == 3 && moved.damagedInPlace == 0)
    #expect(judged(full, finding("good", 0), job(.all)).state == .completed)
    #expect(judged(full, finding("good", 0), job(.all)).damagedInPlace == nil)
    // Where no block was bad, its config is well again.
    let config = judged(completed, finding("unreadable", 0), job(.structure))
    #expect(config.state == .error && config.damagedBlocks == 0)
    #expect(judged(config, finding("good", 0), job(.structure)).state == .completed)
  }

  /// The backup's own job does not read what lies there.
  @Test func damageThatIsFoundWhileItIsBackedUpStays() {
    let running = BackupBackingImage.Status(state: .inProgress, progress: 40, backingImage: "parrot")
    func after(inPlace: Int64) -> BackupBackingImage.Status {
      let judged = VerificationController.judged(
        running.fields, finding("damaged", 1, inPlace: inPlace), job(.all), .init(), now: 0)
      #expect(BackupBackingImage.Status(judged).state == .inProgress)
      let ended = Job(
        id: "job-2", kind: .backup, owner: ResourceKey(.backupBackingImage, "parrot"),
        pipeline: Pipeline(from: [], to: []), state: .succeeded, result: ["newlyUploadedDataSize": 1], createdAt: 0)
      return BackupBackingImage.Status(BackupController.reflect(judged, JobRecord(ended)))
    }
    #expect(after(inPlace: 1).state == .error && after(inPlace: 1).damagedBlocks == 1)
    #expect(after(inPlace: 0).state == .completed && after(inPlace: 0).damagedBlocks == nil)
  }

  /// Nor does whoever looks at its config alone, or makes it anew of what lies there.
  @Test func damageOutlivesALookAtTheConfig() {
    let damaged = BackupBackingImage.Status(
      state: .error, error: "2 of its 3", backingImage: "parrot", backupCreatedAt: "2026-01-05T10:00:00Z",
      damagedAt: "2026-01-06T10:00:00Z", damagedBlocks: 2, damagedInPlace: 1)
    func inspected(_ state: Job.State, _ old: [String: JSONValue]) -> [String: JSONValue] {
      let job = Job(
        id: "job-1", kind: .inspect, owner: ResourceKey(.backupBackingImage, "parrot"),
        pipeline: Pipeline(from: [], to: []), state: state, result: ["state": "Completed"], createdAt: 0)
      return BackupController.reflect(old, JobRecord(job))
    }
    var fields = damaged.fields
    for state in [Job.State.pending, .running, .succeeded] {
      fields = inspected(state, fields)
      let status = BackupBackingImage.Status(fields)
      #expect(status.state == .error && status.error == "2 of its 3", "\(state)")
    }
    func synced(_ old: BackupBackingImage.Status, _ created: String) -> BackupBackingImage.Status {
      let found = FoundBackup(
        name: .image("parrot"), version: "", fields: ["state": "Completed", "backupCreatedAt": .string(created)])
      return BackupBackingImage.Status(BackupController.synced(old.fields, found, now: 0))
    }
    for created in ["2026-01-05T10:00:00Z", "2026-01-07T10:00:00Z"] {
      #expect(synced(damaged, created).state == .error && synced(damaged, created).error == "2 of its 3")
    }
    var missing = damaged
    missing.damagedInPlace = 0
    #expect(synced(missing, "2026-01-05T10:00:00Z").state == .error)
    #expect(synced(missing, "2026-01-07T10:00:00Z").state == .completed)
  }

  @Test func damageOfAVolumesBackupStays() {
    let created: JSONValue = "2026-01-05T10:00:00Z"
    func judged(_ old: Backup.Status, _ state: String, _ blocks: Int64, _ scope: StoreTending.Scope) -> Backup.Status {
      Backup.Status(
        VerificationController.judged(
          backup: old.fields, ["state": .string(state), "damagedBlocks": .int(blocks), "reason": .string("\(state)!")],
          job(scope), .init(), now: 0))
    }
    func synced(_ old: Backup.Status, _ created: JSONValue = created) -> Backup.Status {
      let found = FoundBackup(
        name: .backup("backup-1", volume: "macaw"), version: "",
        fields: ["state": "Completed", "volumeName": "macaw", "backupCreatedAt": created])
      return Backup.Status(BackupController.synced(old.fields, found, now: 0))
    }
    let completed = synced(Backup.Status([:]))
    #expect(completed.state == .completed)
    let refused = judged(completed, "unrestorable", 0, .structure)
    #expect(refused.state == .error && refused.error == "unrestorable!")
    #expect(synced(refused).state == .error && synced(refused).error == "unrestorable!")
    #expect(judged(synced(refused), "good", 0, .structure).state == .completed)
    let damaged = judged(completed, "damaged", 2, .all)
    #expect(synced(damaged).state == .error && synced(damaged).damagedBlocks == 2)
    #expect(judged(damaged, "good", 0, .structure).state == .error)
    #expect(judged(damaged, "damaged", 1, .structure).damagedBlocks == 2)
    #expect(judged(damaged, "good", 0, .all).state == .completed)
    #expect(synced(damaged, "2026-01-07T10:00:00Z").state == .completed, "another one")
  }

  /// One that was made anew is another backup.
  @Test func whatWasSaidOfABackupIsNotSaidOfTheNext() {
    let old = BackupBackingImage.Status(
      state: .completed, backingImage: "parrot", backupCreatedAt: "2026-01-05T10:00:00Z",
      lastVerified: "2026-01-06T10:00:00Z")
    func synced(_ created: String) -> String? {
      BackupBackingImage.Status(
        BackupController.synced(
          old.fields,
          FoundBackup(
            name: .image("parrot"), version: "", fields: ["state": "Completed", "backupCreatedAt": .string(created)]),
          now: 0)
      ).lastVerified
    }
    #expect(synced("2026-01-05T10:00:00Z") == "2026-01-06T10:00:00Z")
    #expect(synced("2026-01-07T10:00:00Z") == nil)
  }

  @Test func damageIsShownAndTheNextBackupMendsIt() async throws {
    let finding = Finding()
    let fixture = try await fixture(finding)
    try await tend(fixture, .verify(.all, repair: true))
    finding.value = Self.damaged
    try await tend(fixture, .verify(.structure, repair: true))
    var status = try await backup(fixture)
    #expect(status.state == .error && status.error.contains("2 of its 3") && status.damagedBlocks == 2)
    #expect(status.lastVerified == nil && status.damagedAt != nil)
    #expect(try await verification(fixture).damagedBackups == 1)
    let events = try await fixture.engine.describe(target).events
    #expect(events.contains { $0.type == .warning && $0.message.contains("parrot") })

    // Looking at its config alone does not make it good.
    finding.value = Self.good
    try await tend(fixture, .verify(.structure, repair: true))
    #expect(try await backup(fixture).state == .error)

    let outcome = try await fixture.apply(EngineFixture.backup("parrot"))
    #expect(outcome.result == .configured)
    try await fixture.backup("parrot", is: "Completed")
    status = try await backup(fixture)
    #expect(status.damagedBlocks == nil && status.damagedAt == nil && status.error == "")
    #expect(try await fixture.apply(EngineFixture.backup("parrot")).result == .unchanged)
    try await fixture.stop()
  }

  @Test func readingAllOfItMendsTheRecordToo() async throws {
    let finding = Finding()
    let fixture = try await fixture(finding)
    finding.value = Self.damaged
    try await tend(fixture, .verify(.all, repair: false))
    #expect(try await backup(fixture).state == .error)
    finding.value = Self.good
    try await tend(fixture, .verify(.all, repair: false))
    let status = try await backup(fixture)
    #expect(status.state == .completed && status.lastVerified != nil && status.damagedBlocks == nil)
    try await fixture.stop()
  }

  @Test func oneAtATimeTendsAStore() async throws {
    let open = Mutex(false)
    let running = Mutex((now: 0, most: 0))
    let fixture = try await EngineFixture(
      FakeWorkers(task: { worker, order in
        guard ["verify-target", "collect-target"].contains(order.pipeline.from.first?.stage) else {
          return await worker.succeed(order)
        }
        guard await worker.admitted() else { return }
        running.withLock { running in
          running.now += 1
          running.most = max(running.most, running.now)
        }
        try? await eventually("it may go on") { open.withLock { $0 } }
        running.withLock { $0.now -= 1 }
        worker.say(.finished(FakeWorker.result(order)))
      }))
    var jobs: [String] = []
    for tending in [StoreTending.verify(.all, repair: true), .gc(dryRun: false), .verify(.structure, repair: true)] {
      jobs.append(try await fixture.engine.tend(target: "default", tending, by: .daemon).metadata.name)
    }
    try await fixture.job(jobs[0], is: "running")
    try await eventually("the others wait") {
      for job in jobs.dropFirst() {
        let status = try await fixture.engine.resource(ResourceKey(.job, job)).status
        guard status["message"]?.string?.contains("works on the whole of") == true else { return false }
      }
      return true
    }
    open.withLock { $0 = true }
    for job in jobs { try await fixture.job(job, is: "succeeded") }
    #expect(running.withLock { $0.most } == 1)
    try await fixture.stop()
  }

  @Test func theCalendarVerifiesPartAfterPart() async throws {
    let ahead = Mutex(0.0)
    let fixture = try await EngineFixture(setBack: { -ahead.withLock { $0 } }, configure: { $0.verifyEveryDays = 1 })
    func done() async throws -> Int {
      try await fixture.engine.describe(target).jobs
        .count { $0.status["type"] == "verify" && $0.status["state"] == "succeeded" }
    }
    try await eventually("the target is there") {
      BackupTarget.Status(try await fixture.engine.resource(self.target).status).available
    }
    for part in 1...3 {
      #expect(try await done() < part)
      // A thirtieth of a day.
      ahead.withLock { $0 += 2881 }
      try await eventually("part \(part) was verified") { try await done() >= part }
    }
    #expect(try await verification(fixture).cursor?.hasPrefix("1") == true, "three thirtieths, or a little more")
    // After a long time without the daemon a larger part is due.
    ahead.withLock { $0 += 86400 / 4 + 1 }
    try await eventually("a larger part was verified") { try await done() >= 4 }
    let jobs = try await fixture.engine.describe(target).jobs.filter { $0.status["type"] == "verify" }
    let share = try #require(jobs[0].status["pipeline"]?["from"]?.array?.first?["params"]?["share"]?.number)
    #expect(share == 0.25)
    try await fixture.stop()
  }

  @Test func whatIsPinnedStays() async throws {
    let fixture = try await fixture(Finding())
    let key = ResourceKey(.backupBackingImage, "parrot")
    #expect(try await fixture.engine.pin(key, true, by: .daemon).status["pinned"] == true)
    for force in [false, true] {
      let fault = await faultOf { _ = try await fixture.engine.delete(key, force: force, by: .daemon) }
      #expect(fault?.code == .conflict && fault?.hint?.contains("unpin") == true)
    }
    #expect(try await fixture.engine.pin(key, false, by: .daemon).status["pinned"] == nil)
    _ = try await fixture.engine.delete(key, force: false, by: .daemon)
    try await eventually("it is gone") { (try? await fixture.backup("parrot")) == nil }
    #expect(await faultOf { _ = try await fixture.engine.pin(key, true, by: .daemon) }?.code == .notFound)
    #expect(await faultOf { _ = try await fixture.engine.pin(target, true, by: .daemon) }?.code == .invalid)
    try await fixture.stop()
  }

  @Test func whatAVolumeNeedsIsRefusedAtOnceAndByForceDeleted() async throws {
    let fixture = try await EngineFixture(
      FakeWorkers(task: { worker, order in
        let stage = order.pipeline.from.first
        if stage?.stage == "check-deletion" || (stage?.stage == "delete-backup" && stage?.params["force"] != true) {
          await worker.fail(Fault(.inUse, "volume macaw needs it"))
        } else {
          await worker.succeed(order)
        }
      }))
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.apply(EngineFixture.backup("parrot"))
    try await fixture.backup("parrot", is: "Completed")
    try await eventually("the target is there") {
      BackupTarget.Status(try await fixture.engine.resource(self.target).status).available
    }
    let key = ResourceKey(.backupBackingImage, "parrot")
    let fault = await faultOf { _ = try await fixture.engine.delete(key, force: false, by: .daemon) }
    #expect(fault?.code == .inUse)
    try await fixture.backup("parrot", is: "Completed")
    _ = try await fixture.engine.delete(key, force: true, by: .daemon)
    try await eventually("it is gone") { (try? await fixture.backup("parrot")) == nil }
    try await fixture.stop()
  }

  @Test(arguments: [
    #"{"sample": 0}"#, #"{"sample": 101}"#, #"{"sample": "1"}"#, #"{"sample": 5, "all": true}"#, #"{"all": 1}"#,
    #"{"alll": true}"#, #"{"bytesPerSecond": 0}"#, #"{"bytesPerSecond": "1M"}"#,
    #"{"all": true, "bytesPerSecond": -1}"#,
  ]) func requestsThatMakeNoSense(_ text: String) throws {
    let request = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)).object ?? [:]
    #expect(throws: Fault.self) { try StoreTending(.verify, request: request) }
  }

  /// Through the request, the job's parameters, and the job's being planned again.
  @Test(arguments: [#"{"all": true}"#, #"{"sample": 50}"#, "{}"]) func theRateGoesWithTheJob(_ text: String) throws {
    var request = try JSONDecoder().decode(JSONValue.self, from: Data(text.utf8)).object ?? [:]
    #expect(try StoreTending(.verify, request: request).params["bytesPerSecond"] == nil)
    request["bytesPerSecond"] = 5_000_000
    let tending = try StoreTending(.verify, request: request)
    #expect(tending.params["bytesPerSecond"]?.number == 5_000_000)
    #expect(StoreTending(.verify, tending.params) == tending)
  }

  private func faultOf(_ body: () async throws -> Void) async -> Fault? {
    do {
      try await body()
      return nil
    } catch {
      return error as? Fault
    }
  }
}
