import DroverModel

/// One row of the table `job`: what the API shows of it, and what only the engine needs.
struct JobRecord: Sendable, Hashable {
  var job: Job
  /// Higher goes first.
  var priority: Int
  /// Transient failures since the job was made or retried by hand. Waiting for a lock does not count.
  var failures: Int
  /// An attempt was admitted, so something unfinished may lie on disk or in the store.
  var leftovers: Bool
  /// Somebody asked for a pause that lasts.
  var held: Bool
  /// The last attempt waits for somebody's change, not for time.
  var waitsForChange: Bool
  /// How the job ends once its leftovers are gone; nil while it is to go on.
  var ending: Ending?
  /// What a pending job waits for, for people.
  var note: String?

  init(_ job: Job, priority: Int? = nil) {
    self.job = job
    self.priority = priority ?? job.kind.usualPriority
    failures = 0
    leftovers = false
    held = false
    waitsForChange = false
    ending = nil
    note = nil
  }

  /// A volume's backup that can't build upon another one: the last attempt found that, or went without already.
  var standsAlone: Bool {
    job.attempt > 0
      && (job.error?.code == .baseUnusable || job.pipeline.to.last.map { $0.params["base"] == nil } == true)
  }

  enum Ending: Sendable, Hashable, Codable {
    case failed(Fault)
    case cancelled
  }
}

extension Job.Kind {
  /// The job changes its owner, so no other that does may run beside it.
  var writesOwner: Bool { self != .save && self != .inspect && !isLook && !tendsStore }

  /// Its stage tells what layers the volume has then.
  var tellsLayers: Bool { changesVolume && self != .deleteVolume }

  /// An attempt that ends early may leave something unfinished on disk or in a store.
  var leavesTraces: Bool { !isTask && self != .save }

  /// A client is at the other end of the data: nothing can be continued or repeated without it.
  var streams: Bool { self == .upload || self == .save }

  /// Short and without data: counted apart, so that hours of copying don't keep it waiting.
  var isTask: Bool { isLook || self == .inspect || self == .deleteBackup || (changesVolume && self != .deleteSnapshot) }

  /// Its answer says whether its owner, a target, can be used.
  var isLook: Bool { self == .probe || self == .sync }

  var usualPriority: Int {
    if streams { 20 } else if isTask { 10 } else { 0 }
  }
}
