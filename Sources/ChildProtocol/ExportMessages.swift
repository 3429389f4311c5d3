public import DroverModel

/// What whoever starts `drover-export` says to it, as its only message; secret frames come before it, in the order of
/// `secretNames`. Then the channel may be closed as soon as `serving` was heard: before that, its end ends the export.
public struct ExportOrder: Sendable, Codable {
  /// Of the export, as NBD clients may ask for it: a volume's name.
  public var name: String
  /// Tells it from another volume of that name.
  public var volume: String
  /// Source and filters, lowest first.
  public var from: [Pipeline.Stage]
  public var isReadOnly: Bool
  /// Absolute paths of the two sockets, each of at most 107 bytes. What an export that died has left there is replaced.
  public var socket: String
  public var controlSocket: String
  /// Bits of the NBD socket: 0600, or 0660 with a group. The control socket has always 0600.
  public var permissions: UInt32
  public var group: UInt32?
  /// Absolute; locked exclusively, by flock, from before anything is opened until all is closed.
  public var lock: String
  /// Absolute; what is said is appended.
  public var log: String
  /// A folder in which stages may keep files of their own.
  public var folder: String
  /// Folders with plugins, searched in this order.
  public var pluginFolders: [String]
  public var concurrency: Int
  public var stallSeconds: Int
  /// A call that is silent for longer is told as a failure.
  public var hangSeconds: Int
  /// Name of each secret frame that went before, and the index of the stage it is for.
  public var secretNames: [JobOrder.SecretName]

  public init(
    name: String, volume: String, from: [Pipeline.Stage], isReadOnly: Bool = false, socket: String,
    controlSocket: String, permissions: UInt32 = 0o600, group: UInt32? = nil, lock: String, log: String,
    folder: String, pluginFolders: [String], concurrency: Int = 8, stallSeconds: Int = 30, hangSeconds: Int = 600,
    secretNames: [JobOrder.SecretName] = []
  ) {
    self.name = name
    self.volume = volume
    self.from = from
    self.isReadOnly = isReadOnly
    self.socket = socket
    self.controlSocket = controlSocket
    self.permissions = permissions
    self.group = group
    self.lock = lock
    self.log = log
    self.folder = folder
    self.pluginFolders = pluginFolders
    self.concurrency = concurrency
    self.stallSeconds = stallSeconds
    self.hangSeconds = hangSeconds
    self.secretNames = secretNames
  }
}

/// What an export answers on the channel. After `failed` it ends.
public enum ExportReport: Sendable, Codable {
  /// The first frame.
  case hello(version: String, pid: Int32)
  /// Clients may come. From now on it lives on its own.
  case serving(ExportInfo)
  /// Code `locked`: another export has it.
  case failed(Fault)
}

/// What an export says of itself, on the channel and as the answer to the verb `info`. Fields are only ever added.
public struct ExportInfo: Sendable, Hashable, Codable {
  public var name: String
  public var volume: String
  /// Of Drover.
  public var version: String
  public var pid: Int32
  public var readOnly: Bool
  /// Bytes.
  public var size: Int64
  /// NBD clients that are connected.
  public var clients: Int
  /// What a stage is doing now, for people.
  public var phase: String
  /// Why it is of no more use, if it is; detaching is all that is left.
  public var failure: Fault?
  /// The latest failure of a call, which may have passed.
  public var lastFailure: Fault?

  public init(
    name: String, volume: String, version: String, pid: Int32, readOnly: Bool, size: Int64, clients: Int,
    phase: String, failure: Fault? = nil, lastFailure: Fault? = nil
  ) {
    self.name = name
    self.volume = volume
    self.version = version
    self.pid = pid
    self.readOnly = readOnly
    self.size = size
    self.clients = clients
    self.phase = phase
    self.failure = failure
    self.lastFailure = lastFailure
  }
}

/// The conversation on an export's control socket: one JSON object a line, each way. A request has `version` and `verb`,
/// and what the verb wants; an answer has `ok`, which is true, and what was asked for, or `error`, a Fault.
public enum ExportControl {
  public static let version: Int64 = 1
  /// Of a request, in bytes.
  public static let longestRequest = 1 << 20
  /// Of an answer.
  public static let longestAnswer = 16 << 20
}
