/// The daemon's settings, as a file gives them. Source: docs/cli.md, "Configuration". Defaults stand beside each.
public struct Configuration: Sendable, Hashable {
  /// Jobs that run at once; nil: processor cores and two more.
  public var maxJobs: Int?
  public var maxJobsPerTarget = 4
  /// Blocks at once within a job, where `concurrent-limit` does not say; nil: twice the cores, 4 to 12, since some of
  /// them wait for the disk while others compute.
  public var concurrency: Int?
  /// How often a transient error is met before the job has failed.
  public var attempts = 8
  public var backoffMaxSeconds = 600.0
  /// A network stage without a byte.
  public var stallSeconds = 30
  /// A stage call without progress.
  public var hangSeconds = 600
  /// Space in bytes that is never admitted away.
  public var reserveBytes: Int64 = 256 << 20
  /// Group of `drover.sock`; nil: the daemon's own.
  public var writeGroup: String?
  /// Group of `drover-ro.sock`; nil: the daemon's own.
  public var readGroup: String?
  /// Limits of one call of a policy: instructions of Lua's virtual machine, bytes, wall clock.
  public var policyInstructions = 5_000_000
  public var policyMemoryBytes = 16 << 20
  public var policyDeadlineMilliseconds = 250
  /// Every block of every target is read once in so many days; 0: only when somebody asks.
  public var verifyEveryDays = 30
  /// Nil: the built-in ones.
  public var pluginFolders: [String]?
  /// Nil: the built-in one.
  public var hooksFolder: String?

  public init() {}

  public func maxJobs(cores: Int) -> Int { maxJobs ?? cores + 2 }
  public func concurrency(cores: Int) -> Int { concurrency ?? max(4, min(2 * cores, 12)) }
}

extension Configuration {
  /// Checks the one document of a configuration file; null is an empty one. Throws `invalid`, and `not-supported` for a
  /// setting of what this version does not have, so that nobody relies on it.
  ///
  /// A setting may stand as `jobs: {attempts: 3}` or as `jobs.attempts: 3`.
  public init(_ document: JSONValue) throws(Fault) {
    guard document.isNull || document.object != nil else {
      throw Fault(.invalid, "the configuration must be an object, not \(document.typeName)")
    }
    var reader = FieldReader(
      try Self.flattened(document.object ?? [:], prefix: ""), path: "configuration", isDocument: false)
    if let value = try reader.integer("maxJobs", 1...1000) { maxJobs = Int(value) }
    if let value = try reader.integer("maxJobsPerTarget", 1...1000) { maxJobsPerTarget = Int(value) }
    if let value = try reader.integer("jobs.concurrency", 1...64) { concurrency = Int(value) }
    if let value = try reader.integer("jobs.attempts", 1...1000) { attempts = Int(value) }
    if let value = try reader.seconds("jobs.backoffMax", 1...86400) { backoffMaxSeconds = value }
    if let value = try reader.seconds("stallTimeout", 1...86400) { stallSeconds = Int(value.rounded(.up)) }
    if let value = try reader.seconds("hangTimeout", 1...86400) { hangSeconds = Int(value.rounded(.up)) }
    if let value = try reader.bytes("reserve") { reserveBytes = value }
    if let value = try reader.integer("policy.instructions", 10_000...1_000_000_000) { policyInstructions = Int(value) }
    if let value = try reader.bytes("policy.memory") {
      guard (256 << 10...1 << 30).contains(value) else {
        throw reader.fault("policy.memory", "must be from 256Ki to 1Gi")
      }
      policyMemoryBytes = Int(value)
    }
    if let value = try reader.seconds("policy.deadline", 0.01...60) {
      policyDeadlineMilliseconds = Int((value * 1000).rounded())
    }
    if let value = try reader.integer("verify.everyDays", 0...3650) { verifyEveryDays = Int(value) }
    writeGroup = try reader.text("groups.write")
    readGroup = try reader.text("groups.read")
    pluginFolders = try reader.folders("plugins")
    hooksFolder = try reader.folders("hooks")?.first
    for key in Self.laterKeys where reader.value(key) != nil {
      throw Fault(.notSupported, "configuration.\(key) is not supported by this version of Drover", hint: "remove it")
    }
    try reader.finish(.strict)
  }

  private static let laterKeys = [
    "retention.minKeep", "retention.maxDrops", "notify.command",
  ]
  private static let sections = ["jobs", "groups", "retention", "verify", "policy", "notify"]

  private static func flattened(
    _ members: [String: JSONValue], prefix: String
  ) throws(Fault) -> [String: JSONValue] {
    var flat: [String: JSONValue] = [:]
    for (key, value) in members {
      var entries = [prefix + key: value]
      if prefix.isEmpty, sections.contains(key) {
        guard value.isNull || value.object != nil else {
          throw Fault(.invalid, "configuration.\(key) must be an object, not \(value.typeName)")
        }
        entries = try flattened(value.object ?? [:], prefix: key + ".")
      }
      for (key, value) in entries {
        guard flat.updateValue(value, forKey: key) == nil else {
          throw Fault(.invalid, "configuration.\(key) is set twice")
        }
      }
    }
    return flat
  }

  /// The effective values, as a document of the file's form.
  public func effective(
    cores: Int, pluginFolders: [String], hooksFolder: String?
  ) -> [String: JSONValue] {
    [
      "maxJobs": .int(Int64(maxJobs(cores: cores))), "maxJobsPerTarget": .int(Int64(maxJobsPerTarget)),
      "jobs": [
        "concurrency": .int(Int64(concurrency(cores: cores))), "attempts": .int(Int64(attempts)),
        "backoffMax": .string("\(Int64(backoffMaxSeconds))s"),
      ],
      "stallTimeout": .string("\(stallSeconds)s"), "hangTimeout": .string("\(hangSeconds)s"),
      "reserve": .int(reserveBytes), "groups": ["write": .of(writeGroup), "read": .of(readGroup)],
      "verify": ["everyDays": .int(Int64(verifyEveryDays))],
      "policy": [
        "instructions": .int(Int64(policyInstructions)), "memory": .int(Int64(policyMemoryBytes)),
        "deadline": .string("\(policyDeadlineMilliseconds)ms"),
      ],
      "plugins": .array(pluginFolders.map { .string($0) }), "hooks": .of(hooksFolder),
    ]
  }
}

extension FieldReader {
  fileprivate mutating func seconds(_ key: String, _ range: ClosedRange<Double>) throws(Fault) -> Double? {
    guard let text = try text(key) else { return nil }
    guard let seconds = TimeSpan.parse(text) else {
      throw fault(key, "is not a span of time: \"\(ResourceName.printable(text))\"", hint: "write 30s or 10m")
    }
    guard range.contains(seconds) else {
      throw fault(key, "must be from \(TimeSpan.text(range.lowerBound)) to \(TimeSpan.text(range.upperBound))")
    }
    return seconds
  }

  fileprivate mutating func bytes(_ key: String) throws(Fault) -> Int64? {
    guard let text = try text(key) else { return nil }
    guard let bytes = ByteSize.parse(text) else {
      throw fault(key, "is not a size: \"\(ResourceName.printable(text))\"", hint: "write bytes, or 256Mi")
    }
    return bytes
  }

  /// One absolute folder, or a list of them.
  fileprivate mutating func folders(_ key: String) throws(Fault) -> [String]? {
    guard let value = value(key) else { return nil }
    var folders: [String] = []
    for element in value.array ?? [value] {
      guard let folder = element.string?.trimmed, folder.hasPrefix("/") else {
        throw fault(key, "must be absolute folders, not \(element.shown)")
      }
      folders.append(folder)
    }
    return folders
  }
}
