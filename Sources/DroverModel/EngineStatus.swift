/// How the daemon is: `drover status`. Sizes in bytes.
public struct EngineStatus: Sendable, Codable {
  public var stateFolder: String
  /// RFC 3339, UTC.
  public var startedAt: String
  public var queue: Queue
  /// One for each job that has a process now.
  public var workers: [Worker]
  public var targets: [Target]
  /// Subjects whose last success is longer ago than their schedule allows. Always empty: this version has no schedules.
  public var stale: [String]
  /// By name.
  public var hooks: [HookFile]
  public var plugins: [PluginReport]
  /// Free on the state folder's file system.
  public var freeBytes: Int64
  /// Of `freeBytes`, promised to jobs that were admitted.
  public var reservedBytes: Int64

  public init(
    stateFolder: String, startedAt: String, queue: Queue = Queue(), workers: [Worker] = [], targets: [Target] = [],
    stale: [String] = [], hooks: [HookFile] = [], plugins: [PluginReport] = [], freeBytes: Int64 = 0,
    reservedBytes: Int64 = 0
  ) {
    self.stateFolder = stateFolder
    self.startedAt = startedAt
    self.queue = queue
    self.workers = workers
    self.targets = targets
    self.stale = stale
    self.hooks = hooks
    self.plugins = plugins
    self.freeBytes = freeBytes
    self.reservedBytes = reservedBytes
  }

  /// How many jobs are in each state that is not final.
  public struct Queue: Sendable, Hashable, Codable {
    public var pending: Int
    public var running: Int
    public var paused: Int
    /// Upper limit of `running`.
    public var limit: Int

    public init(pending: Int = 0, running: Int = 0, paused: Int = 0, limit: Int = 0) {
      self.pending = pending
      self.running = running
      self.paused = paused
      self.limit = limit
    }
  }

  public struct Worker: Sendable, Hashable, Codable {
    public var job: String
    public var pid: Int32
    public var attempt: Int
    /// Of the last progress report.
    public var phase: String

    public init(job: String, pid: Int32, attempt: Int, phase: String) {
      self.job = job
      self.pid = pid
      self.attempt = attempt
      self.phase = phase
    }
  }

  public struct Target: Sendable, Hashable, Codable {
    public var name: String
    public var url: String
    public var available: Bool
    /// Why it is not available.
    public var message: String?

    public init(name: String, url: String, available: Bool, message: String? = nil) {
      self.name = name
      self.url = url
      self.available = available
      self.message = message
    }
  }
}
