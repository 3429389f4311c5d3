import DroverModel

/// Which of the waiting jobs may start now. Pure: jobs and time in, an order out.
struct JobQueue: Sendable {
  var maxJobs: Int
  var maxJobsPerTarget: Int
  /// Short tasks that run beside the copying jobs.
  var maxTasks = 4
  /// No job pauses longer by itself: a time farther off means that the clock was set back.
  var longestPauseSeconds = Double.infinity

  enum Readiness: Sendable, Equatable {
    case ready
    /// Something must come first; the text is for people.
    case waiting(String)
    /// What the job waits for will not come.
    case failed(Fault)
  }

  /// Jobs to start, in this order, and what became of those that were looked at and can't.
  struct Choice: Sendable, Equatable {
    var start: [String] = []
    var waiting: [String: String] = [:]
    var failed: [String: Fault] = [:]
    /// Seconds since 1970: when time alone will make another job ready.
    var nextTime: Double?
  }

  /// - Parameters:
  ///   - busy: Identifiers of the jobs that have a process, also of those on their way out.
  ///   - readiness: Asked once for each job that nothing else keeps.
  func choose(
    from records: some Collection<JobRecord>, busy: Set<String>, now: Double,
    readiness: (JobRecord) -> Readiness
  ) -> Choice {
    var choice = Choice()
    var copying = 0
    var tasks = 0
    var perTarget: [String: Int] = [:]
    var writing: Set<ResourceKey> = []

    func occupy(_ job: Job) {
      if job.kind.isTask { tasks += 1 } else { copying += 1 }
      if !job.kind.isTask, let target = job.target { perTarget[target, default: 0] += 1 }
    }
    func hasRoom(for job: Job) -> Bool {
      if job.kind.isTask { return tasks < maxTasks }
      if let target = job.target, perTarget[target, default: 0] >= maxJobsPerTarget { return false }
      return copying < maxJobs
    }

    for record in records where busy.contains(record.job.id) {
      occupy(record.job)
      if record.job.kind.writesOwner { writing.insert(record.job.owner) }
    }
    let unfinished = records.filter { !$0.job.state.isFinal && !busy.contains($0.job.id) }
    // An older job that writes the same resource goes first, even where it pauses between two attempts.
    var claimed: Set<ResourceKey> = []
    let byAge = unfinished.sorted { ($0.job.createdAt, $0.job.id) < ($1.job.createdAt, $1.job.id) }
    var blocked: Set<String> = []
    for record in byAge where record.job.kind.writesOwner {
      if writing.contains(record.job.owner) || !claimed.insert(record.job.owner).inserted {
        blocked.insert(record.job.id)
      }
    }

    let byPriority = byAge.sorted { $0.priority > $1.priority }
    for record in byPriority where record.job.state == .pending && !blocked.contains(record.job.id) {
      if let runAfter = record.job.runAfter, runAfter > now, runAfter <= now + longestPauseSeconds {
        choice.nextTime = min(choice.nextTime ?? runAfter, runAfter)
        continue
      }
      guard record.ending == nil else {
        if hasRoom(for: record.job) {
          occupy(record.job)
          choice.start.append(record.job.id)
        }
        continue
      }
      switch readiness(record) {
      case .waiting(let note): choice.waiting[record.job.id] = note
      case .failed(let fault): choice.failed[record.job.id] = fault
      case .ready:
        guard hasRoom(for: record.job) else { continue }
        occupy(record.job)
        choice.start.append(record.job.id)
      }
    }
    return choice
  }
}
