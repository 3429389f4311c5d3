/// What the engine is told at its start, once. Folders and programs are absolute paths.
public struct EngineConfiguration: Sendable, Hashable, Codable {
  /// STATE: made when it is not there.
  public var stateFolder: String
  /// Of the policy scripts; nil: none are asked.
  public var hooksFolder: String?
  public var pluginFolders: [String]
  /// `drover-worker`.
  public var workerPath: String
  /// `drover-policy`.
  public var policyPath: String
  /// Limits of one call of a policy.
  public var policyInstructions: Int
  public var policyMemoryBytes: Int
  public var policyDeadlineMilliseconds: Int
  /// Jobs that run at once.
  public var maxJobs: Int
  public var maxJobsPerTarget: Int
  /// Blocks at once within a job, where the pipeline does not say.
  public var concurrency: Int
  /// Transient failures after which a job has failed.
  public var attempts: Int
  /// Longest pause before a transient failure is tried again.
  public var backoffMaxSeconds: Double
  /// Pause before a job is tried again by itself that waits for somebody's change.
  public var probeSeconds: Double
  /// A network stage without a byte.
  public var stallSeconds: Int
  /// A stage call without progress.
  public var hangSeconds: Int
  /// Free space that is never promised to a job.
  public var reserveBytes: Int64
  /// What a worker has from `cancel` until it is killed.
  public var cancelSeconds: Double
  /// What running workers have for their last checkpoint when the daemon ends.
  public var shutdownSeconds: Double
  /// Finished jobs that are remembered; the oldest go first.
  public var jobHistory: Int
  /// Every block of every target is read once in so many days; 0: only when somebody asks.
  public var verifyEveryDays: Int
  /// The daemon's own environment, of which workers see a part.
  public var environment: [String: String]

  public init(
    stateFolder: String, hooksFolder: String? = nil, pluginFolders: [String], workerPath: String,
    policyPath: String = "", policyInstructions: Int = 5_000_000, policyMemoryBytes: Int = 16 << 20,
    policyDeadlineMilliseconds: Int = 250, maxJobs: Int,
    maxJobsPerTarget: Int = 4, concurrency: Int, attempts: Int = 8, backoffMaxSeconds: Double = 600,
    probeSeconds: Double = 300, stallSeconds: Int = 30, hangSeconds: Int = 600, reserveBytes: Int64 = 256 << 20,
    cancelSeconds: Double = 8, shutdownSeconds: Double = 20, jobHistory: Int = 1000,
    verifyEveryDays: Int = 0,
    environment: [String: String] = [:]
  ) {
    self.stateFolder = stateFolder
    self.hooksFolder = hooksFolder
    self.pluginFolders = pluginFolders
    self.workerPath = workerPath
    self.policyPath = policyPath
    self.policyInstructions = policyInstructions
    self.policyMemoryBytes = policyMemoryBytes
    self.policyDeadlineMilliseconds = policyDeadlineMilliseconds
    self.maxJobs = maxJobs
    self.maxJobsPerTarget = maxJobsPerTarget
    self.concurrency = concurrency
    self.attempts = attempts
    self.backoffMaxSeconds = backoffMaxSeconds
    self.probeSeconds = probeSeconds
    self.stallSeconds = stallSeconds
    self.hangSeconds = hangSeconds
    self.reserveBytes = reserveBytes
    self.cancelSeconds = cancelSeconds
    self.shutdownSeconds = shutdownSeconds
    self.jobHistory = jobHistory
    self.verifyEveryDays = verifyEveryDays
    self.environment = environment
  }
}
