import DroverModel
import Dispatch
public import LinuxSystem
import Synchronization

/// A program that is to be started as a child, with a channel on descriptor 0.
public struct ChildProgram: Sendable {
  /// Absolute.
  public var path: String
  public var arguments: [String]
  /// All of it; nothing is inherited. Source of the usual one: `Spawner.cleanEnvironment`.
  public var environment: [String: String]
  /// Numbers in this process, and the number from 3 upwards that each is to have in the child. They stay the caller's.
  public var descriptors: [(parent: Int32, child: Int32)]
  /// True for what outlives the daemon: an export.
  public var newSession: Bool
  /// Gives the child a place to note the calls of stages that it is in: a worker.
  public var notesCalls: Bool

  public init(
    path: String, arguments: [String] = [], environment: [String: String],
    descriptors: [(parent: Int32, child: Int32)] = [], newSession: Bool = false, notesCalls: Bool = false
  ) {
    self.path = path
    self.arguments = arguments
    self.environment = environment
    self.descriptors = descriptors
    self.newSession = newSession
    self.notesCalls = notesCalls
  }
}

extension ChildProgram {
  /// With the number of the descriptor of its `CallNotes`.
  public static let callsOption = "--calls"
}

/// A child that runs. Whoever has it must wait for its process once.
public struct StartedChild: Sendable {
  public var process: ChildProcess
  /// This end of the child's descriptor 0. When it goes, the child ends itself.
  public var channel: FrameChannel
  /// Where it notes the calls that it is in.
  public var calls: CallNotes?

  /// How it ended, for people, and in which calls of which plugins: `signal 11 (SIGSEGV) in call pread of ...`.
  public func describe(_ status: ChildProcess.ExitStatus) -> String {
    let calls = calls?.calls ?? []
    guard let first = calls.first else { return "\(status)" }
    func text(_ call: CallNotes.Call) -> String {
      (call.stage.isEmpty ? "call \(call.name)" : "call \(call.name) of stage \(call.stage)")
        + ", plugin \(call.plugin)"
    }
    if first.isCrash || calls.count == 1 { return "\(status) in \(text(first))" }
    return "\(status) while it was in " + Self.distinct(calls.map(text)).joined(separator: "; ")
  }

  private static func distinct(_ texts: [String]) -> [String] {
    var seen: Set<String> = []
    return texts.filter { seen.insert($0).inserted }
  }
}

/// Starts all children of this process on one thread that never ends: the signal that a child asks for on its parent's
/// death follows the *thread* that started it.
public final class Spawner: Sendable {
  private typealias Request = @Sendable () -> Void
  private let requests = Mutex<[Request]>([])
  private let arrived = DispatchSemaphore(value: 0)

  /// Starts the thread; it is never stopped, so one spawner a process is enough.
  public init() throws {
    try SystemThread.start("spawner") { [self] in
      while true {
        arrived.wait()
        let next = requests.withLock { $0.isEmpty ? nil : $0.removeFirst() }
        next?()
      }
    }
  }

  /// Blocks until the child is started. Its standard output and error are this process' standard error.
  /// - Throws: A Fault `internal`, with what the system answered, where it can't be started.
  public func start(_ program: ChildProgram) throws -> StartedChild {
    let done = DispatchSemaphore(value: 0)
    let answer = Answer()
    requests.withLock {
      $0.append {
        answer.value.withLock { $0 = Result { try Self.spawn(program) } }
        done.signal()
      }
    }
    arrived.signal()
    done.wait()
    return try answer.value.withLock { $0! }.get()
  }

  private final class Answer: Sendable {
    let value = Mutex<Result<StartedChild, any Error>?>(nil)
  }

  private static func spawn(_ program: ChildProgram) throws -> StartedChild {
    do {
      let (mine, theirs) = try SocketPair.make()
      let channel = FrameChannel(adopting: mine)
      let calls = program.notesCalls ? try CallNotes() : nil
      var (descriptors, arguments) = (program.descriptors, program.arguments)
      if let calls {
        let number = 1 + max(2, descriptors.map(\.child).max() ?? 2)
        descriptors.append((calls.descriptor, number))
        arguments += [ChildProgram.callsOption, "\(number)"]
      }
      let other = StreamSocket(adopting: theirs)
      let process = try withExtendedLifetime(other) {
        try ChildProcess.spawn(
          program.path, arguments: [program.path] + arguments, environment: program.environment,
          descriptors: [(other.descriptor, 0), (2, 1), (2, 2)] + descriptors, newSession: program.newSession)
      }
      return StartedChild(process: process, channel: channel, calls: calls)
    } catch let error as SystemError {
      throw Fault(
        .internalError, "could not start \(program.path): \(error.answer)",
        hint: error.isAbsent ? "is the installation complete?" : nil, retry: .transient)
    }
  }

  /// What of this process' environment a child may see: where to find programs and time zones, language, proxies and
  /// the temporary folder. Everything else, credentials above all, stays here.
  public static func cleanEnvironment(_ own: [String: String]) -> [String: String] {
    let kept: Set = [
      "PATH", "LD_LIBRARY_PATH", "HOME", "TZ", "TMPDIR", "LANG", "http_proxy", "https_proxy", "all_proxy", "no_proxy",
      "HTTPS_PROXY", "CURL_CA_BUNDLE",
      "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR",
    ]
    return own.filter { kept.contains($0.key) || $0.key.hasPrefix("LC_") || $0.key.hasPrefix("SWIFT_BACKTRACE") }
  }
}
