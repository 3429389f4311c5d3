public import DroverModel

/// What the daemon asks `drover-policy`. Each command is answered by one report, in order, and by a process that keeps
/// nothing between two of them: it may be killed at any time and started anew.
public enum PolicyCommand: Sendable, Codable {
  /// Parse the script, run its top level, and tell which points it handles.
  case inspect(PolicyScript, PolicyLimits)
  /// Call the script's function for a point, in a Lua state of the call's own.
  case ask(PolicyScript, PolicyPoint, context: JSONValue, PolicyLimits)
}

public enum PolicyReport: Sendable, Codable {
  /// The first frame, sent when the process is ready.
  case hello(version: String, pid: Int32)
  case inspected(points: [PolicyPoint])
  /// What the function returned, as JSON; an empty Lua table is an empty object. Whether it is a valid answer to the
  /// point is for the daemon to say. `printed` is what the script wrote with `print`, in lines, cut at a few KiB.
  case answered(JSONValue, printed: String)
  case failed(PolicyFailure, printed: String)
}

/// A script as the daemon has read it: the process that runs it opens no file.
public struct PolicyScript: Sendable, Hashable, Codable {
  /// Its name without the folder, for messages.
  public var file: String
  /// UTF-8 text; bytecode is refused.
  public var source: String

  public init(file: String, source: String) {
    self.file = file
    self.source = source
  }
}

/// What one call may use. Source of the defaults: docs/cli.md, "Configuration".
public struct PolicyLimits: Sendable, Hashable, Codable {
  /// Of Lua's virtual machine, top level and call together. Steps of library functions that loop are counted too.
  public var instructions: Int
  /// All of the Lua state, in bytes.
  public var memoryBytes: Int
  /// Wall clock, from the command's arrival.
  public var deadlineMilliseconds: Int
  /// Of the script, of the context and of the answer, each, in bytes; the latter two about as long as they are as JSON.
  public var documentBytes: Int

  public init(
    instructions: Int = 5_000_000, memoryBytes: Int = 16 << 20, deadlineMilliseconds: Int = 250,
    documentBytes: Int = 1 << 20
  ) {
    self.instructions = instructions
    self.memoryBytes = memoryBytes
    self.deadlineMilliseconds = deadlineMilliseconds
    self.documentBytes = documentBytes
  }
}

/// Why a script gave no answer.
public struct PolicyFailure: Error, Sendable, Hashable, Codable {
  public var reason: Reason
  /// For people; begins with the file, and where it is known the line.
  public var message: String
  /// From 1.
  public var line: Int?

  public init(_ reason: Reason, _ message: String, line: Int? = nil) {
    self.reason = reason
    self.message = message
    self.line = line
  }

  public enum Reason: String, Sendable, Codable {
    /// It is no Lua text.
    case syntax
    /// It returned no table of functions for points of an API version that is known.
    case shape
    /// It raised an error.
    case runtime
    case instructions, memory, deadline
    /// Context or answer is too large, too deep, cyclic, or has a value that JSON has not.
    case document
    /// The process that runs scripts could not be started, or ended by itself.
    case process
  }
}
