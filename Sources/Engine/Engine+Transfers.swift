public import DroverModel
import LinuxSystem
import Planner

extension Engine {
  /// Opens the stream into an image with `sourceType: upload`. The job waits for a free place as every other.
  ///
  /// Throws `not-found`, `conflict` where the image takes no content or has it already, `bad-size`.
  /// - Parameter length: Of the content in bytes, where the client said it.
  public func beginUpload(image name: String, length: Int64?, by caller: Caller) throws -> Transfer {
    let key = ResourceKey(.backingImage, name)
    var record = try existing(key)
    let status = BackingImage.Status(record.status)
    guard !record.deleting else { throw Fault(.conflict, "\(key) is being deleted") }
    let planned = try Planner(facts).upload(
      image: name, uuid: status.uuid, spec: imageSpec(record), size: length)
    if let job = unfinishedJobs(of: key).first(where: \.kind.writesOwner) {
      throw Fault(.conflict, "\(job.id) already writes \(key)", hint: "drover job cancel \(job.id)")
    }
    guard status.state != .ready, status.state != .unknown else {
      throw Fault(.conflict, "\(key) has its content already", hint: "make an image with another name")
    }
    let job = newJob(.upload, owner: key, planned: planned)
    record.status = ImageController.reflect(record.status, job)
    return try open(job, planned, size: length, changes: [.putResource(record)], by: caller) {
      resources[key] = record
    }
  }

  /// Opens the stream of an image's bytes. Throws `not-found`, or `conflict` where the image is not ready.
  public func beginSave(image name: String, by caller: Caller) throws -> Transfer {
    let key = ResourceKey(.backingImage, name)
    let record = try existing(key)
    guard !record.deleting else { throw Fault(.conflict, "\(key) is being deleted") }
    let planned = try Planner(facts).save(image: name)
    let job = newJob(.save, owner: key, planned: planned)
    return try open(job, planned, size: BackingImage.Status(record.status).size, changes: [], by: caller) {}
  }

  private func open(
    _ job: JobRecord, _ planned: PlannedJob, size: Int64?, changes: [CatalogChange], by caller: Caller,
    committed: () -> Void
  ) throws -> Transfer {
    guard phase != .stopping else { throw Fault(.conflict, "the daemon is ending", retry: .transient) }
    let id = job.job.id
    let (ours, workers) = try Self.streamPair()
    let verb = job.job.kind == .upload ? "upload" : "save"
    try catalog.commit(
      changes + [.putJob(job), event("asked", job.job.owner, job: id, message: "\(verb)\(caller.suffix)")])
    committed()
    machines[id] = machine(job)
    streams[id] = WaitingStream(planned: planned, workerEnd: workers)
    changed.raise()
    wanted.raise()
    return Transfer(engine: self, job: id, owner: job.job.owner, descriptor: ours, size: size)
  }

  /// Our end, without blocking, for whoever asked; the worker's, which blocks.
  private static func streamPair() throws -> (Int32, StreamSocket) {
    do {
      let (one, other) = try SocketPair.make()
      let workers = StreamSocket(adopting: other)
      try StreamSocket.setNonBlocking(one)
      return (one, workers)
    } catch {
      throw Fault(.io, "could not open a stream: \(error)")
    }
  }

  /// Waits for the end of a job; throws its error.
  func outcome(of id: String) async throws {
    while true {
      let seen = changed.generation
      let job = try job(id)
      switch job.state {
      case .succeeded: return
      case .failed: throw job.error ?? Fault(.internalError, "\(id) failed")
      case .cancelled: throw Fault(.cancelled, "\(id) was cancelled")
      case .pending, .running, .paused: break
      }
      if phase == .stopping, sessions.isEmpty { throw JobMachine.interrupted(by: "the daemon was stopped") }
      await changed.wait(past: seen)
      try Task.checkCancellation()
    }
  }

  func interrupt(_ id: String, _ reason: String) {
    let now = environment.now()
    guard let machine = machines[id], !machine.record.job.state.isFinal else { return }
    deliver(id) { machine in
      machine.record.job.state.isFinal ? [] : try machine.interrupt(JobMachine.interrupted(by: reason), now: now)
    }
  }
}

/// An image's bytes on their way in or out, through the daemon and never held by it.
public struct Transfer: Sendable {
  private let engine: Engine
  private let owner: ResourceKey
  /// Id of the job that does it.
  public let job: String
  /// One end of a stream socket that does not block: to be written for an upload, read for a save. The caller owns it and
  /// closes it. For an upload, closing says that the content ends here.
  public let descriptor: Int32
  /// Of the content in bytes; nil for an upload of unknown length.
  public let size: Int64?

  init(engine: Engine, job: String, owner: ResourceKey, descriptor: Int32, size: Int64?) {
    self.engine = engine
    self.job = job
    self.owner = owner
    self.descriptor = descriptor
    self.size = size
  }

  /// Waits until the job is over; the image as it is then. Throws the job's error.
  public func result() async throws -> Resource {
    try await engine.outcome(of: job)
    return try await engine.resource(owner)
  }

  /// The client went away: the job fails as `upload-interrupted` and leaves nothing. To be called before the descriptor
  /// is closed, where the length was not known. Without effect once the job is over.
  public func abort(_ reason: String = "the client went away") async { await engine.interrupt(job, reason) }
}
