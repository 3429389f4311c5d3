import ArgumentParser
import Glibc
import Synchronization

private let received = Atomic<Int32>(0)

/// SIGINT, SIGTERM and SIGHUP while something is waited for or streamed: the first is noted, the second ends the program
/// as usual.
enum Interrupts {
  ///
  /// A signal that the parent left ignored, as nohup does, stays so; one that it left blocked is let through.
  static func watch() {
    _ = received.load(ordering: .relaxed)
    for number in [SIGINT, SIGTERM, SIGHUP] where !isIgnored(number) {
      var set = sigset_t()
      sigemptyset(&set)
      sigaddset(&set, number)
      pthread_sigmask(SIG_UNBLOCK, &set, nil)
      signal(number) { number in
        received.store(number, ordering: .relaxed)
        // Whichever comes second is meant.
        for other in [SIGINT, SIGTERM, SIGHUP] where other == number || !Interrupts.isIgnored(other) {
          signal(other, SIG_DFL)
        }
      }
    }
  }

  private static func isIgnored(_ number: Int32) -> Bool {
    var action = sigaction()
    sigaction(number, nil, &action)
    return unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self) == unsafeBitCast(SIG_IGN, to: Int.self)
  }

  static var isPending: Bool { received.load(ordering: .relaxed) != 0 }

  /// Ends with 128 and the signal's number when one came.
  static func check() throws {
    let number = received.load(ordering: .relaxed)
    if number != 0 { throw ExitCode(128 + number) }
  }

  /// Returns early when a signal comes.
  static func pause(seconds: Double) {
    guard seconds > 0, !isPending else { return }
    usleep(UInt32(min(seconds, 1) * 1e6))
  }
}
