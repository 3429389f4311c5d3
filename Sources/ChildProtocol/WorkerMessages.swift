public import DroverModel

/// What the daemon (or the CLI, for a restore without a daemon) says to a worker. The first message is `order` or
/// `inspect` or `check`; secret frames come before it, in the order of `JobOrder.secretNames`.
public enum WorkerCommand: Sendable, Codable {
  case order(JobOrder)
  /// Load these files, tell what they are, and end.
  case inspect(paths: [String])
  /// Run the fault matrix on one plugin, and end.
  case check(CheckOrder)
  /// The space that `planned` asked for is reserved: go on.
  case admitted
  case denied(Fault)
  /// Give up within a second. What lies on disk stays; a `discard` order removes it.
  case cancel
  /// Checkpoint, then end with `stopped`.
  case pause
}

/// What a worker answers. It ends after `finished`, `failed`, `stopped`, `inspected` or `checkEnded`.
public enum WorkerReport: Sendable, Codable {
  /// The first frame.
  case hello(version: String, pid: Int32)
  /// Nothing has been touched yet. The worker waits for `admitted` or `denied`; in `plan` mode it ends.
  case planned(JobPlan)
  /// A few times a second at most.
  case progress(Job.Progress)
  /// The sink has flushed everything below it. The daemon writes the row.
  case checkpoint(Checkpoint)
  /// A record of a stage: `kind` names it. Those of kind `result` are merged into the job's result.
  case record(stage: String, kind: String, value: JSONValue)
  case log(level: LogLevel, message: String)
  /// Everything is in place and durable.
  case finished(JobResult)
  /// The job is not to go on, and nothing of its attempts is left. How it ended is said next. Without it something may be.
  case discarded
  case failed(Fault)
  /// After `cancel` or `pause`.
  case stopped
  case inspected([PluginReport])
  /// This step is next: if the worker dies, it is to blame. The outcome means nothing yet.
  case checkBegan(PluginCheck.Step)
  case checked(PluginCheck.Step)
  /// All steps are through. Name and version of the plugin, where it was loaded.
  case checkEnded(name: String?, version: String?)
}

/// What `check` is about.
public struct CheckOrder: Sendable, Codable {
  /// The plugin's file, absolute.
  public var path: String
  /// Only this stage; nil: all of them.
  public var stage: String?
  /// Only in this role; nil: in all that it has.
  public var role: Pipeline.Role?
  /// Parameters by role, for a filter also by direction, and for all under "". Source of the placeholders:
  /// docs/plugins.md, "Checking a plugin".
  public var params: [String: [String: JSONValue]]
  /// A file that holds one of these in its path may stay after discard: blocks of a store that are collected later.
  public var mayLeave: [String]
  /// Absolute; the worker makes a folder in it for each run, and removes it.
  public var scratch: String
  /// How long a call may be silent.
  public var hangSeconds: Int
  /// Of the cases of a step so many at most, spread.
  public var cases: Int
  /// How many steps an earlier worker has been through.
  public var skip: Int
  /// Name of each secret frame that went before; every stage gets all of them.
  public var secretNames: [String]

  public init(
    path: String, stage: String? = nil, role: Pipeline.Role? = nil, params: [String: [String: JSONValue]] = [:],
    mayLeave: [String] = [],
    scratch: String, hangSeconds: Int = 20, cases: Int = 24, skip: Int = 0, secretNames: [String] = []
  ) {
    self.path = path
    self.stage = stage
    self.role = role
    self.params = params
    self.mayLeave = mayLeave
    self.scratch = scratch
    self.hangSeconds = hangSeconds
    self.cases = cases
    self.skip = skip
    self.secretNames = secretNames
  }

  /// What a filter is opened for.
  public enum Direction: String, Sendable { case reading, writing }
}

public struct JobOrder: Sendable, Codable {
  public var mode: Mode
  public var job: String
  public var attempt: Int
  public var pipeline: Pipeline
  /// `STATE/jobs/ID`, absolute. The worker locks the file `lock` in it before it opens anything.
  public var jobFolder: String
  /// Folders with plugins, searched in this order.
  public var pluginFolders: [String]
  /// Blocks at once, where the pipeline does not say.
  public var concurrency: Int
  public var stallSeconds: Int
  public var hangSeconds: Int
  public var checkpoint: Checkpoint?
  /// Name of each secret frame that went before, and the index of the stage (in `from + to`) it is for.
  public var secretNames: [SecretName]

  public init(
    mode: Mode, job: String, attempt: Int, pipeline: Pipeline, jobFolder: String, pluginFolders: [String],
    concurrency: Int, stallSeconds: Int, hangSeconds: Int, checkpoint: Checkpoint? = nil, secretNames: [SecretName] = []
  ) {
    self.mode = mode
    self.job = job
    self.attempt = attempt
    self.pipeline = pipeline
    self.jobFolder = jobFolder
    self.pluginFolders = pluginFolders
    self.concurrency = concurrency
    self.stallSeconds = stallSeconds
    self.hangSeconds = hangSeconds
    self.checkpoint = checkpoint
    self.secretNames = secretNames
  }

  public enum Mode: String, Sendable, Codable {
    /// Plan, wait for admission, copy, commit.
    case run
    /// Plan and end: `--dry-run`.
    case plan
    /// Remove what the attempts of this job left behind.
    case discard
    /// Serve the reading side, `to` being empty, to NBD clients of the listening socket that is descriptor 3, until a
    /// cancel. A record of kind `serving` says that it has begun.
    case serve
  }

  public struct SecretName: Sendable, Codable {
    public var stage: Int
    public var name: String
    public init(stage: Int, name: String) {
      self.stage = stage
      self.name = name
    }
  }
}

/// Where a later attempt may go on. Any difference in digest or identity starts over.
public struct Checkpoint: Sendable, Hashable, Codable {
  /// SHA-256 or SHA-512 of the pipeline's canonical JSON, hexadecimal.
  public var pipelineDigest: String
  /// `identity` of each device that has one, `from` first.
  public var identities: [String]
  /// Everything below is in the sink and flushed.
  public var offset: Int64
  /// Of the sink and of each filter over it, base64, in the order of `to`.
  public var tokens: [String]

  public init(pipelineDigest: String, identities: [String], offset: Int64, tokens: [String]) {
    self.pipelineDigest = pipelineDigest
    self.identities = identities
    self.offset = offset
    self.tokens = tokens
  }
}

public struct JobResult: Sendable, Codable {
  public var size: Int64?
  /// SHA-512 of the image file, computed or inherited.
  public var checksum: String?
  /// Bytes that went through, holes not counted.
  public var bytesCopied: Int64
  /// All records of kind `result`, merged.
  public var values: [String: JSONValue]

  public init(size: Int64? = nil, checksum: String? = nil, bytesCopied: Int64 = 0, values: [String: JSONValue] = [:]) {
    self.size = size
    self.checksum = checksum
    self.bytesCopied = bytesCopied
    self.values = values
  }
}
