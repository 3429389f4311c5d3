import Glibc
import LinuxSystem

/// SIGTERM and SIGINT, which mean: detach. Made before any other thread, so that all have them blocked.
final class StopSignals: Sendable {
  private static var set: sigset_t {
    var set = sigset_t()
    sigemptyset(&set)
    sigaddset(&set, SIGTERM)
    sigaddset(&set, SIGINT)
    return set
  }

  init() {
    var set = Self.set
    pthread_sigmask(SIG_BLOCK, &set, nil)
    signal(SIGHUP, SIG_IGN)
  }

  /// Calls `body`, on a thread of its own, for each that comes.
  func start(_ body: @escaping @Sendable (Int32) -> Void) throws(SystemError) {
    try SystemThread.start("signals") {
      var set = Self.set
      while true {
        var number: Int32 = 0
        if sigwait(&set, &number) == 0 { body(number) }
      }
    }
  }
}
