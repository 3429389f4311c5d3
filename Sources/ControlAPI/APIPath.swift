public import DroverModel

/// The paths of the control API, version 1. Source: docs/cli.md, "Control API".
public enum APIPath {
  public static let root = "/v1"
  /// Major versions that this build speaks, as they stand in paths.
  public static let supportedVersions = ["v1"]

  public static let version = "/v1/version"
  public static let status = "/v1/status"
  /// Prometheus text.
  public static let metrics = "/v1/metrics"
  /// NDJSON of `Event`.
  public static let events = "/v1/events"
  public static let plugins = "/v1/plugins"
  public static let inspectPlugin = "/v1/plugins/inspect"
  public static let hooks = "/v1/hooks"
  /// POST of a `HookTestRequest`; answers a `HookTrial`.
  public static let testHook = "/v1/hooks/test"
  /// POST of an `InspectBackupRequest`.
  public static let inspectBackup = "/v1/backups/inspect"

  /// POST: looks what is new in the store; answers 202 with the job.
  public static func sync(target: String) -> String { "\(object(ResourceKey(.backupTarget, target)))/sync" }

  /// POST of a `RevertRequest`; answers 202 with the job.
  public static func revert(volume: String) -> String { "\(object(ResourceKey(.volume, volume)))/revert" }

  /// GET lists. POST of a manifest without a name creates an object whose name the daemon makes.
  public static func collection(_ kind: ResourceKind) -> String { "\(root)/\(kind.plural)" }
  /// GET, PUT of a manifest, DELETE.
  public static func object(_ key: ResourceKey) -> String { "\(collection(key.kind))/\(key.name)" }
  /// GET of a `Description`.
  public static func describe(_ key: ResourceKey) -> String { "\(object(key))/describe" }
  /// POST of what a `StoreTending` reads; answers 202 with the job.
  public static func tend(_ kind: Job.Kind, target: String) -> String {
    "\(object(ResourceKey(.backupTarget, target)))/\(kind.rawValue)"
  }
  /// POST; answers the object.
  public static func pin(_ key: ResourceKey, _ pinned: Bool) -> String { "\(object(key))/\(pinned ? "pin" : "unpin")" }
  /// PUT uploads the bytes of an image, GET saves them.
  public static func content(image: String) -> String { "\(object(ResourceKey(.backingImage, image)))/content" }
  /// NDJSON of `LogLine`.
  public static func log(job: String) -> String { "\(object(ResourceKey(.job, job)))/log" }
  /// POST; answers 202 with the job.
  public static func action(_ action: JobAction, job: String) -> String {
    "\(object(ResourceKey(.job, job)))/\(action.rawValue)"
  }
}

/// What can be asked of a job.
public enum JobAction: String, Sendable, CaseIterable { case cancel, retry, pause, resume }

/// Names in queries. A flag is on with `1` or `true`, and off with `0`, `false` or when it is not there.
public enum APIQuery {
  /// PUT, POST of a manifest: a flag.
  public static let dryRun = "dryRun"
  /// PUT, POST of a manifest: `strict`, `warn` or `ignore`.
  public static let validate = "validate"
  /// GET of a collection: `key=value` or `key`, separated by commas.
  public static let labels = "labels"
  /// GET of the jobs: only those of one object, `backingimage/parrot`.
  public static let owner = "owner"
  /// DELETE: a flag.
  public static let force = "force"
  /// Events and logs: what came after this number.
  public static let since = "since"
  /// Events and logs: a flag; go on until there can be no more.
  public static let follow = "follow"
  /// Logs: `json`, which is NDJSON of `LogLine`, or `text`.
  public static let format = "format"
  /// PUT of an image's content: its length in bytes, where the request has no Content-Length.
  public static let size = "size"
  /// GET of an object: a flag; the same answer as its path with `/describe`.
  public static let describe = "describe"
  /// Inspecting a plugin: absolute path of its file.
  public static let path = "path"
}
