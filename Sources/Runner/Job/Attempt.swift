import ChildProtocol
import DroverModel

/// Carries out one order, from the lock to the last report.
struct Attempt {
  let order: JobOrder
  let secrets: [SecretBytes]
  var library: any StageLibrary
  let job: JobContext
  var pace = CheckpointKeeper.Pace()
  /// Blocks until the daemon has admitted the job; throws the Fault of a denial, or `Interrupted`.
  let admission: () throws -> Void
  /// See `Reporter`.
  let hung: @Sendable (Fault) -> Void

  /// The report that ends the conversation, or nil in `plan` mode, where the plan was it.
  mutating func run() -> WorkerReport? {
    do {
      return try carryOut()
    } catch {
      return end(error)
    }
  }

  private var context: OrderContext {
    OrderContext(
      job: order.job, jobFolder: order.jobFolder, attempt: order.attempt,
      concurrency: max(1, min(64, order.pipeline.concurrency ?? order.concurrency)), stallSeconds: order.stallSeconds)
  }

  private mutating func carryOut() throws -> WorkerReport? {
    let lock = order.mode == .plan ? nil : try JobLock(folder: order.jobFolder)
    return try withExtendedLifetime(lock) {
      let reporter = Reporter(job: job, hangSeconds: Double(max(1, order.hangSeconds)), hung: hung)
      try reporter.start()
      defer { reporter.stop() }
      let pipeline = try ResolvedPipeline(order, secrets: secrets, library: &library)
      // The reading side as well: a source may have left a lock where it reads.
      let stages = pipeline.to + pipeline.from
      switch order.mode {
      case .plan:
        job.report(.planned(try StackPlan.make(pipeline, order: context, job: job)))
        return nil
      case .discard:
        job.phase.enter("discarding")
        try Discard.run(stages, order: context, job: job)
        return .finished(JobResult())
      case .serve:
        return try discardingOnFailure(stages) {
          try ServeJob(pipeline: pipeline, context: context, job: job).run()
        }
      case .run:
        return try discardingOnFailure(stages) {
          job.phase.enter("planning")
          job.report(.planned(try StackPlan.make(pipeline, order: context, job: job)))
          job.phase.enter("waiting for space")
          try admission()
          return .finished(try work(pipeline, reporter))
        }
      }
    }
  }

  private func work(_ pipeline: ResolvedPipeline, _ reporter: Reporter) throws -> JobResult {
    if pipeline.isTask { return try TaskJob(stage: pipeline.from[0], context: context, job: job).run() }
    return try CopyJob(
      order: order, context: context, pipeline: pipeline, pace: pace, job: job, reporter: reporter
    ).run()
  }

  /// A failure for good, or a cancel, leaves nothing, as far as this worker can see to it: else another one is started for
  /// that. What may pass is continued by the next attempt.
  private func discardingOnFailure(
    _ stages: [OrderedStage], _ body: () throws -> WorkerReport
  ) throws -> WorkerReport {
    do {
      return try body()
    } catch {
      let isForGood = job.interruption.request == .cancel || ((error as? Fault)?.retry == .never && !isPause(error))
      if isForGood {
        job.phase.enter("discarding")
        do {
          try Discard.run(stages, order: context, job: job)
          job.report(.discarded)
        } catch {
          job.log(.warning, "could not remove what the job left: \((error as? Fault)?.message ?? "\(error)")")
        }
      }
      throw error
    }
  }

  /// Whether a pause, rather than a failure, ended the job: stages are told of it as a cancel.
  private func isPause(_ error: any Error) -> Bool {
    guard job.interruption.request == .pause else { return false }
    guard let fault = error as? Fault else { return error is Interrupted }
    return fault.retry != .never || fault.code == .cancelled
  }

  private func end(_ error: any Error) -> WorkerReport {
    if job.interruption.request == .cancel || isPause(error) { return .stopped }
    if let fault = error as? Fault { return .failed(fault) }
    return .failed(Fault(.internalError, "\(error)"))
  }
}
