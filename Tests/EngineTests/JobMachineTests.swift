import ChildProtocol
import DroverModel
import Planner
import TestKit
import Testing

@testable import Engine

/// The life cycle, as a list of calls and the actions that must come of them.
struct JobMachineTests {
  private let policy = RetryPolicy(attempts: 3, backoffMaxSeconds: 60, probeSeconds: 300)
  private let pipeline = Pipeline(from: [.init("download", .source)], to: [.init("clone", .sink)])
  private let image = ResourceKey(.backingImage, "parrot")
  private let mismatch = Fault(.checksumMismatch, "wrong sum")
  private let refused = Fault(.network, "connection refused")
  private let gone = Fault(.targetUnreachable, "no such folder")

  private func machine(_ kind: Job.Kind = .download, _ change: (inout JobRecord) -> Void = { _ in }) -> JobMachine {
    var record = JobRecord(
      Job(id: "job-1", kind: kind, owner: image, pipeline: Pipeline(from: [], to: []), createdAt: 100))
    change(&record)
    return JobMachine(record, policy: policy, graceSeconds: 5)
  }

  private func planned(_ kind: Job.Kind = .download) -> PlannedJob {
    PlannedJob(kind: kind, owner: image, pipeline: pipeline, inherited: ["encrypted": false])
  }

  /// One that was started and admitted.
  private func running(_ kind: Job.Kind = .download) -> JobMachine {
    var machine = machine(kind)
    _ = machine.start(planned(kind), now: 110)
    _ = machine.admitted()
    return machine
  }

  /// Ends the attempt as `outcome` says, and returns the last actions.
  private func end(_ machine: inout JobMachine, _ fault: Fault? = nil, random: Double = 0) -> [JobAction] {
    if let fault {
      if fault.retry == .never { #expect(machine.discarded() == []) }
      #expect(machine.failed(fault) == [.kill(afterSeconds: 5)])
    }
    return machine.exited("exit code 1", now: 200, random: random)
  }

  // MARK: Straight on

  @Test func aJobSucceeds() throws {
    var machine = machine()
    #expect(
      machine.start(planned(), now: 110) == [.persist(.jobStarted, "attempt 1 started"), .launch(.run)])
    #expect(machine.record.job.pipeline == pipeline)
    let space = [JobPlan.Space(path: "/state", bytes: 7)]
    #expect(machine.planned(JobPlan(space: space)) == [.admit(space)])
    #expect(machine.admitted() == [.persist(nil), .send(.admitted)])
    #expect(machine.record.leftovers)
    let checkpoint = Checkpoint(pipelineDigest: "d", identities: [], offset: 4, tokens: [])
    #expect(machine.checkpoint(checkpoint) == [.saveCheckpoint(checkpoint)])
    #expect(
      machine.finished(JobResult(size: 512, checksum: "ab", values: ["path": "/p"]), now: 150)
        == [.persist(.jobSucceeded, "succeeded"), .dropCheckpoint, .kill(afterSeconds: 5)])
    #expect(machine.record.job.state == .succeeded)
    #expect(machine.record.job.finishedAt == 150)
    #expect(
      machine.record.job.result
        == ["encrypted": false, "size": 512, "checksum": "ab", "path": "/p", "bytesCopied": 0])
    #expect(!machine.record.leftovers)
    #expect(machine.isWorking)
    #expect(machine.exited("signal 9", now: 160, random: 0) == [.release, .reschedule])
    #expect(machine.record.job.state == .succeeded)
  }

  @Test func admissionIsWrittenDownBeforeTheWorkerHearsOfIt() {
    var machine = machine()
    _ = machine.start(planned(), now: 1)
    let actions = machine.admitted()
    #expect(actions.first == .persist(nil))
    #expect(actions.last == .send(.admitted))
  }

  @Test func taskAndSaveLeaveNothingBehind() {
    for kind in [Job.Kind.probe, .inspect, .deleteBackup, .save] {
      var machine = machine(kind)
      _ = machine.start(planned(kind), now: 1)
      #expect(machine.admitted() == [.send(.admitted)])
    }
  }

  // MARK: Failures

  @Test func aFatalFailureEndsAtOnceAndLeavesNothing() {
    var machine = running()
    #expect(
      end(&machine, mismatch)
        == [.persist(.jobFailed, "wrong sum"), .dropCheckpoint, .reschedule, .release, .reschedule])
    #expect(machine.record.job.state == .failed)
    #expect(machine.record.job.error == mismatch)
    #expect(machine.record.job.finishedAt == 200)
  }

  @Test func aTransientFailureBacksOffTwiceAsLongEachTime() {
    var machine = running()
    _ = end(&machine, refused, random: 0)
    #expect(machine.record.job.state == .pending)
    #expect(machine.record.job.runAfter == 200.5)
    #expect(machine.record.job.error == refused)
    #expect(machine.record.leftovers)
    _ = machine.start(planned(), now: 201)
    #expect(machine.record.job.attempt == 2)
    #expect(machine.record.job.error == nil)
    _ = end(&machine, refused, random: 0.5)
    #expect(machine.record.job.runAfter == 201.5)
  }

  @Test func theLastAttemptFailsAndKeepsWhatIsThereForARetryByHand() throws {
    var machine = running()
    for _ in 1...2 {
      _ = end(&machine, refused)
      _ = machine.start(planned(), now: 300)
    }
    #expect(
      end(&machine, refused) == [.persist(.jobFailed, "connection refused"), .reschedule, .release, .reschedule])
    #expect(machine.record.leftovers)
    #expect(try machine.retry() == [.persist(.jobRetrying, "retried by hand"), .reschedule])
    #expect(machine.record.job.state == .pending)
    #expect(machine.record.failures == 0)
    _ = machine.start(planned(), now: 400)
    #expect(machine.record.job.attempt == 4)
  }

  @Test func waitingForALockNeverUsesUpAttempts() {
    var machine = running()
    for _ in 1...20 {
      _ = end(&machine, Fault(.locked, "held"), random: 0.5)
      #expect(machine.record.job.state == .pending)
      #expect(machine.record.job.runAfter == 203.75)
      _ = machine.start(planned(), now: 300)
    }
    #expect(machine.record.failures == 0)
  }

  @Test func afterFixStaysPendingWithItsErrorUntilAChange() {
    var machine = running()
    _ = end(&machine, gone)
    #expect(machine.record.job.state == .pending)
    #expect(machine.record.job.error == gone)
    #expect(machine.record.waitsForChange)
    #expect(machine.record.job.runAfter == 500)
    #expect(machine.record.failures == 0)
    #expect(machine.wake() == [.persist(nil), .reschedule])
    #expect(machine.record.job.runAfter == nil)
    #expect(machine.wake() == [])
  }

  /// Whoever mends the cause while an attempt runs that began before does not wait for the next look.
  @Test func aChangeDuringAnAttemptIsNotWaitedForAgain() {
    var machine = running()
    #expect(machine.wake() == [])
    _ = end(&machine, gone)
    #expect(machine.record.job.state == .pending && machine.record.job.error == gone)
    #expect(!machine.record.waitsForChange && machine.record.job.runAfter == nil)
    _ = machine.start(planned(), now: 210)
    _ = end(&machine, gone)
    #expect(machine.record.waitsForChange && machine.record.job.runAfter == 500)
  }

  @Test func aWorkerThatDiesIsTriedAgainAndSaysHow() {
    var machine = running()
    _ = machine.exited("signal 11", now: 200, random: 0)
    #expect(machine.record.job.error?.code == .workerDied)
    #expect(machine.record.job.error?.message == "the worker ended with signal 11 before it had finished")
    #expect(machine.record.job.state == .pending)
  }

  @Test func noSpaceIsDeniedAndFailsAtOnce() {
    var machine = machine()
    _ = machine.start(planned(), now: 110)
    let full = Fault(.noSpace, "full")
    #expect(machine.denied(full) == [.send(.denied(full)), .kill(afterSeconds: 5)])
    #expect(machine.failed(Fault(.noSpace, "said by the worker")) == [])
    _ = machine.exited("exit code 0", now: 120, random: 0)
    #expect(machine.record.job.state == .failed)
    #expect(machine.record.job.error == full)
  }

  @Test func spaceThatOthersHoldIsWaitedFor() {
    var machine = machine()
    _ = machine.start(planned(), now: 110)
    _ = machine.denied(Fault(.noSpace, "promised", retry: .transient))
    _ = machine.exited("exit code 0", now: 120, random: 0)
    #expect(machine.record.job.state == .pending)
    #expect(machine.record.failures == 0)
  }

  @Test func onlyTheFirstOutcomeCounts() {
    var machine = running()
    _ = machine.finished(JobResult(), now: 150)
    #expect(machine.failed(mismatch) == [])
    #expect(machine.stopped() == [])
    #expect(machine.finished(JobResult(), now: 151) == [])
    #expect(machine.record.job.state == .succeeded)
  }

  // MARK: Cancel

  @Test func aWaitingJobIsCancelledAtOnce() throws {
    var machine = machine()
    #expect(try machine.cancel(now: 120) == [.persist(.jobCancelled, "cancelled"), .dropCheckpoint, .reschedule])
    #expect(machine.record.job.state == .cancelled)
    #expect(throws: Fault.self) { try machine.cancel(now: 121) }
  }

  @Test func aRunningJobIsToldThenKilledThenCleanedUp() throws {
    var machine = running()
    #expect(try machine.cancel(now: 120) == [.persist(nil), .send(.cancel), .kill(afterSeconds: 5)])
    #expect(machine.record.ending == .cancelled)
    #expect(try machine.cancel(now: 121) == [])
    _ = machine.exited("signal 9", now: 125, random: 0)
    #expect(machine.record.job.state == .pending)
    #expect(machine.start(nil, now: 126) == [.persist(nil), .launch(.discard)])
    #expect(machine.isDiscarding)
    #expect(machine.finished(JobResult(), now: 127) == [.kill(afterSeconds: 5)])
    #expect(
      machine.exited("exit code 0", now: 128, random: 0)
        == [.persist(.jobCancelled, "cancelled"), .dropCheckpoint, .reschedule, .release, .reschedule])
    #expect(machine.record.job.state == .cancelled)
    #expect(machine.record.job.attempt == 1)
  }

  @Test func aResultThatCameFirstBeatsTheCancel() throws {
    var machine = running()
    _ = try machine.cancel(now: 120)
    _ = machine.finished(JobResult(), now: 121)
    _ = machine.exited("exit code 0", now: 122, random: 0)
    #expect(machine.record.job.state == .succeeded)
    #expect(machine.record.ending == nil)
  }

  @Test func aPendingJobWithLeftoversIsCleanedUpFirst() throws {
    var machine = running()
    _ = end(&machine, refused)
    #expect(try machine.cancel(now: 210) == [.persist(nil), .reschedule])
    #expect(machine.record.job.runAfter == nil)
    #expect(machine.start(nil, now: 211).contains(.launch(.discard)))
  }

  @Test func aDiscardThatKeepsFailingIsGivenUpWithAWarning() throws {
    var machine = running()
    _ = try machine.cancel(now: 120)
    _ = machine.exited("signal 9", now: 125, random: 0)
    for _ in 1..<JobMachine.discardAttempts {
      _ = machine.start(nil, now: 130)
      _ = end(&machine, refused)
      #expect(machine.record.job.state == .pending)
    }
    _ = machine.start(nil, now: 130)
    let actions = end(&machine, refused)
    #expect(
      actions.first == .persist(.warning, "could not remove what the job left behind: connection refused"))
    #expect(machine.record.job.state == .cancelled)
    #expect(machine.record.leftovers)
    let left = "cancelled; what it left behind could not be removed: connection refused"
    #expect(machine.record.job.error?.message == left)
    #expect(machine.record.job.error?.hint?.contains("drover delete backingimage/parrot") == true)
    #expect(actions.contains(.persist(.jobCancelled, left)))
    // The owner is deleted, and now it works.
    #expect(machine.clean() == [.persist(nil), .reschedule])
    _ = machine.start(nil, now: 300)
    _ = machine.finished(JobResult(), now: 310)
    _ = machine.exited("exit code 0", now: 310, random: 0)
    #expect(machine.record.job.state == .cancelled && machine.record.job.error == nil && !machine.record.leftovers)
  }

  /// The worker could not remove what it had made, or died while it tried, or the job failed before it had one: another
  /// one is started for that, with growing pauses, and in the end the job says what it has left.
  @Test func aFailureThatLeavesSomethingIsNotTheEnd() throws {
    var machine = running()
    _ = machine.failed(mismatch)
    _ = machine.exited("exit code 1", now: 200, random: 0)
    #expect(machine.record.job.state == .pending && machine.record.ending == .failed(mismatch))
    #expect(machine.record.job.error == mismatch)
    let full = Fault(.io, "removing /x.partial: input/output error")
    var pauses: [Double] = []
    for _ in 1..<JobMachine.discardAttempts {
      #expect(machine.start(nil, now: 300).contains(.launch(.discard)))
      _ = end(&machine, full)
      #expect(machine.record.job.state == .pending && machine.record.job.error == mismatch)
      pauses.append((machine.record.job.runAfter ?? 0) - 200)
    }
    #expect(pauses == pauses.sorted() && pauses[0] < pauses[2], "\(pauses)")
    _ = machine.start(nil, now: 300)
    let actions = end(&machine, full)
    let text = "wrong sum; what it left behind could not be removed: removing /x.partial: input/output error"
    #expect(machine.record.job.state == .failed && machine.record.leftovers)
    #expect(machine.record.job.error?.message == text && machine.record.job.error?.code == .checksumMismatch)
    #expect(actions.contains(.persist(.jobFailed, text)))
    // Twice in vain says it once.
    _ = machine.clean()
    for _ in 1...JobMachine.discardAttempts {
      _ = machine.start(nil, now: 400)
      _ = end(&machine, full)
    }
    #expect(machine.record.job.error?.message == text)
    // The owner is deleted, and now it works.
    _ = machine.clean()
    _ = machine.start(nil, now: 500)
    _ = machine.finished(JobResult(), now: 510)
    _ = machine.exited("exit code 0", now: 510, random: 0)
    #expect(machine.record.job.error == mismatch && machine.record.job.state == .failed && !machine.record.leftovers)
  }

  /// A discard whose worker stops by itself is not repeated for ever.
  @Test func aDiscardThatOnlyStopsEndsToo() throws {
    var machine = running()
    _ = try machine.cancel(now: 120)
    _ = machine.exited("signal 9", now: 125, random: 0)
    for _ in 1...JobMachine.discardAttempts {
      _ = machine.start(nil, now: 130)
      _ = machine.stopped()
      _ = machine.exited("exit code 0", now: 140, random: 0)
    }
    #expect(machine.record.job.state == .cancelled)
  }

  /// A disk that was read-only for a moment is no reason to leave something on it for good.
  @Test(arguments: [Fault(.notPermitted, "read-only"), Fault(.noSpace, "full"), Fault(.io, "input/output error")])
  func aDiscardIsTriedAgainWhateverItMet(fault: Fault) throws {
    var machine = running()
    _ = try machine.cancel(now: 120)
    _ = machine.exited("signal 9", now: 125, random: 0)
    _ = machine.start(nil, now: 130)
    _ = end(&machine, fault)
    #expect(machine.record.job.state == .pending)
  }

  // MARK: Pause

  @Test func pauseHoldsAWaitingJobUntilItIsResumed() throws {
    var machine = machine()
    #expect(try machine.pause() == [.persist(.jobPaused, "paused")])
    #expect(machine.record.job.state == .paused)
    #expect(try machine.pause() == [])
    #expect(try machine.resume() == [.persist(.jobResumed, "resumed"), .reschedule])
    #expect(machine.record.job.state == .pending)
  }

  @Test func pauseOfARunningJobEndsItsWorkerAndKeepsItsPlace() throws {
    var machine = running()
    #expect(try machine.pause() == [.persist(nil), .send(.pause), .kill(afterSeconds: 20)])
    #expect(machine.record.job.state == .running)
    _ = machine.stopped()
    #expect(
      machine.exited("exit code 0", now: 130, random: 0)
        == [.persist(.jobPaused, "paused"), .release, .reschedule])
    #expect(machine.record.job.state == .paused)
    #expect(machine.record.leftovers)
  }

  @Test func pauseThatTheWorkerDoesNotOutliveIsStillAPause() throws {
    var machine = running()
    _ = try machine.pause()
    _ = machine.exited("signal 9", now: 130, random: 0)
    #expect(machine.record.job.state == .paused)
  }

  @Test func resumeWhileItIsStillPausingGoesOn() throws {
    var machine = running()
    _ = try machine.pause()
    #expect(try machine.resume() == [.persist(.jobResumed, "resumed")])
    _ = machine.stopped()
    _ = machine.exited("exit code 0", now: 130, random: 0)
    #expect(machine.record.job.state == .pending)
  }

  @Test func aPausedJobCanBeCancelled() throws {
    var machine = running()
    _ = try machine.pause()
    _ = machine.stopped()
    _ = machine.exited("exit code 0", now: 130, random: 0)
    _ = try machine.cancel(now: 140)
    #expect(machine.record.job.state == .pending)
    #expect(machine.record.ending == .cancelled)
  }

  // MARK: What is refused

  @Test(arguments: [Job.State.succeeded, .failed, .cancelled])
  func aJobThatIsOverCanNotBeCancelledPausedOrResumed(state: Job.State) {
    var machine = machine { $0.job.state = state }
    #expect(throws: Fault.self) { try machine.cancel(now: 1) }
    #expect(throws: Fault.self) { try machine.pause() }
    #expect(throws: Fault.self) { try machine.resume() }
  }

  @Test func whatHasSucceededRunsOrIsPausedIsNotRetried() throws {
    var over = machine { $0.job.state = .succeeded }
    #expect(throws: Fault.self) { try over.retry() }
    var busy = running()
    #expect(throws: Fault.self) { try busy.retry() }
    var held = machine()
    _ = try held.pause()
    #expect(throws: Fault.self) { try held.retry() }
  }

  // MARK: Transfers

  @Test(arguments: [Job.Kind.upload, .save])
  func aTransferIsNeverPausedRetriedOrTriedAgain(kind: Job.Kind) throws {
    var machine = running(kind)
    #expect(throws: Fault.self) { try machine.pause() }
    #expect(throws: Fault.self) { try machine.retry() }
    _ = end(&machine, refused)
    if kind == .upload {
      #expect(machine.start(nil, now: 201).contains(.launch(.discard)))
      _ = machine.finished(JobResult(), now: 202)
      _ = machine.exited("exit code 0", now: 203, random: 0)
    }
    #expect(machine.record.job.state == .failed)
    #expect(machine.record.job.error == refused)
    #expect(!machine.record.leftovers)
  }

  @Test func aTransferWhoseClientIsGoneFailsAsInterrupted() throws {
    var machine = running(.upload)
    _ = try machine.interrupt(JobMachine.interrupted(by: "gone"), now: 120)
    _ = machine.stopped()
    _ = machine.exited("exit code 0", now: 121, random: 0)
    _ = machine.start(nil, now: 122)
    _ = machine.finished(JobResult(), now: 123)
    _ = machine.exited("exit code 0", now: 124, random: 0)
    #expect(machine.record.job.error?.code == .uploadInterrupted)
    #expect(machine.record.job.state == .failed)
  }

  // MARK: The daemon's end and start

  @Test func shutdownCheckpointsAndTheNextStartGoesOn() {
    var machine = running()
    #expect(machine.shutDown(graceSeconds: 20) == [.send(.pause), .kill(afterSeconds: 20)])
    _ = machine.stopped()
    #expect(machine.exited("exit code 0", now: 130, random: 0) == [.persist(nil), .release, .reschedule])
    #expect(machine.record.job.state == .pending)
    #expect(machine.record.failures == 0)
    #expect(machine.record.job.runAfter == nil)
  }

  @Test func shutdownEndsATransferAsInterrupted() {
    var machine = running(.upload)
    #expect(machine.shutDown(graceSeconds: 20) == [.persist(nil), .send(.cancel), .kill(afterSeconds: 20)])
    _ = machine.exited("exit code 0", now: 130, random: 0)
    #expect(machine.record.ending == .failed(JobMachine.interrupted(by: "the daemon was stopped")))
  }

  /// What a row says after a crash, and what the machine makes of it.
  @Test func recoveryTakesRunningJobsBack() {
    func recovered(_ kind: Job.Kind = .download, _ change: (inout JobRecord) -> Void) -> JobRecord {
      var machine = machine(kind, change)
      _ = machine.recover(now: 300)
      return machine.record
    }
    #expect(recovered { $0.job.state = .running }.job.state == .pending)
    let held = recovered {
      $0.job.state = .running
      $0.held = true
    }
    #expect(held.job.state == .paused)
    let cancelled = recovered {
      $0.job.state = .running
      $0.held = true
      $0.ending = .cancelled
    }
    #expect(cancelled.job.state == .pending)
    let upload = recovered(.upload) {
      $0.job.state = .running
      $0.leftovers = true
    }
    #expect(upload.job.state == .pending)
    #expect(upload.ending == .failed(JobMachine.interrupted(by: "the daemon was stopped")))
    #expect(recovered(.upload) { _ in }.job.state == .failed)
    #expect(recovered(.save) { $0.job.state = .running }.job.state == .failed)
    for state in [Job.State.paused, .succeeded, .failed, .cancelled] {
      #expect(recovered { $0.job.state = state }.job.state == state)
    }
    let waiting = recovered {
      $0.waitsForChange = true
      $0.job.runAfter = 1000
    }
    #expect(waiting.job.runAfter == nil)
  }

  @Test func aFailedJobIsCleanedUpWhenItsOwnerGoes() {
    var machine = running()
    for _ in 1...2 {
      _ = end(&machine, refused)
      _ = machine.start(planned(), now: 300)
    }
    _ = end(&machine, refused)
    #expect(machine.clean() == [.persist(nil), .reschedule])
    #expect(machine.start(nil, now: 400).contains(.launch(.discard)))
    _ = machine.finished(JobResult(), now: 401)
    _ = machine.exited("exit code 0", now: 402, random: 0)
    #expect(machine.record.job.state == .failed)
    #expect(machine.record.job.error == refused)
    #expect(!machine.record.leftovers)
    #expect(machine.clean() == [])
  }

  /// Whatever comes in whatever order: a job that is over has no process' outcome ahead, a running one has a process, and
  /// nothing of a job that is over is left without a word.
  @Test(arguments: 0..<200)
  func noOrderOfEventsBreaksTheMachine(seed: Int) throws {
    var noise = Noise(seed: UInt64(seed))
    let kind = [Job.Kind.download, .upload, .backup, .probe][seed % 4]
    var machine = machine(kind)
    let faults = [mismatch, refused, gone, Fault(.locked, "held")]
    for step in 0..<60 {
      let now = Double(200 + step)
      switch Int.random(in: 0..<16, using: &noise) {
      case 0, 1, 2:
        if machine.record.job.state == .pending, !machine.isWorking {
          _ = machine.start(machine.record.ending == nil ? planned(kind) : nil, now: now)
        }
      case 3: _ = machine.admitted()
      case 4: _ = machine.failed(faults.randomElement(using: &noise)!)
      case 5: _ = machine.stopped()
      case 6: _ = machine.finished(JobResult(), now: now)
      case 7, 8, 9: _ = machine.exited("signal 9", now: now, random: 0.5)
      case 10: _ = try? machine.cancel(now: now)
      case 11: _ = try? machine.pause()
      case 12: _ = try? machine.resume()
      case 13: _ = try? machine.retry()
      case 14: _ = machine.wake()
      default:
        _ = machine.clean()
        if machine.isWorking, Bool.random(using: &noise) { _ = machine.shutDown(graceSeconds: 1) }
      }
      let record = machine.record
      if record.job.state == .running { #expect(machine.isWorking) }
      if record.job.state.isFinal {
        #expect(record.ending == nil)
        #expect(record.job.finishedAt != nil)
      }
      if machine.isWorking { #expect(record.job.state == .running || record.job.state.isFinal) }
      if record.job.state == .succeeded { #expect(!record.leftovers) }
    }
  }
}
