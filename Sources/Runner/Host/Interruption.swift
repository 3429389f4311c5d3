import LinuxSystem
import Synchronization

/// Whether the daemon wants the job to stop, and how. Set by the thread that reads the channel, asked by all others.
final class Interruption: Sendable {
  enum Request: Int, Sendable, Comparable {
    case none, pause, cancel
    static func < (left: Request, right: Request) -> Bool { left.rawValue < right.rawValue }
  }

  private let state = Monitor(Request.none)
  private let quick = Atomic(0)
  private let draining = Atomic(false)
  private let cleaning = Atomic(false)
  /// On the boot clock, in milliseconds; 0 before anybody asked.
  private let asked = Atomic(0)

  /// What a call may take to its end after a pause was asked for: a read from a silent network would take far longer.
  private static let patience = 1000

  /// A cancel outweighs a pause, and neither is taken back.
  func ask(_ request: Request) {
    state.change {
      $0 = max($0, request)
      if asked.load(ordering: .acquiring) == 0 { asked.store(Self.now, ordering: .releasing) }
      quick.store($0.rawValue, ordering: .releasing)
    }
  }

  var request: Request { Request(rawValue: quick.load(ordering: .acquiring)) ?? .none }

  private static var now: Int { Int(BootClock.seconds() * 1000) }

  /// While true, a pause lets calls on stages run to their end, for a while; otherwise they are told to give up.
  var letsCallsFinish: Bool {
    get { draining.load(ordering: .acquiring) }
    set { draining.store(newValue, ordering: .releasing) }
  }

  /// True while a given-up job removes what it left, and while a paused one records where it is: that must not be
  /// cancelled by the request that brought it about.
  var isCleaning: Bool {
    get { cleaning.load(ordering: .acquiring) }
    set { cleaning.store(newValue, ordering: .releasing) }
  }

  /// What `drover_host.cancelled` answers.
  var tellsStagesToStop: Bool {
    if isCleaning { return false }
    return switch request {
    case .none: false
    case .pause: !letsCallsFinish || Self.now - asked.load(ordering: .acquiring) > Self.patience
    case .cancel: true
    }
  }

  /// Throws `Interrupted` where the job is to stop.
  func check() throws(Interrupted) {
    if request != .none { throw Interrupted() }
  }

  /// Blocks until somebody asks, at most `seconds`.
  func wait(atMost seconds: Double) -> Request? { state.wait(atMost: seconds) { $0 == .none ? nil : $0 } }
}

/// Unwinds a job that was asked to stop; the request itself says how.
struct Interrupted: Error {}
