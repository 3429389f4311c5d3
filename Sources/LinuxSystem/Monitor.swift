import Glibc

/// A value that threads share, and a way to sleep until another thread has changed it. For blocking code only.
///
/// `body` runs with the lock held: it must be short and must not come back to the same monitor.
@safe public final class Monitor<Value: ~Copyable>: @unchecked Sendable {
  // Sendable: `value` is only touched while `mutex` is held, and both outlive every call.
  private let mutex: UnsafeMutablePointer<pthread_mutex_t>
  private let changed: UnsafeMutablePointer<pthread_cond_t>
  private var value: Value

  public init(_ value: consuming sending Value) {
    unsafe mutex = .allocate(capacity: 1)
    unsafe changed = .allocate(capacity: 1)
    self.value = value
    unsafe pthread_mutex_init(mutex, nil)
    var attributes = pthread_condattr_t()
    unsafe pthread_condattr_init(&attributes)
    unsafe pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
    unsafe pthread_cond_init(changed, &attributes)
    unsafe pthread_condattr_destroy(&attributes)
  }

  deinit {
    unsafe pthread_cond_destroy(changed)
    unsafe pthread_mutex_destroy(mutex)
    unsafe changed.deallocate()
    unsafe mutex.deallocate()
  }

  /// Reads, or changes what nobody waits for.
  public func withLock<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    return try body(&value)
  }

  /// Changes the value and wakes all that wait.
  public func change<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
    unsafe pthread_mutex_lock(mutex)
    defer {
      unsafe pthread_cond_broadcast(changed)
      unsafe pthread_mutex_unlock(mutex)
    }
    return try body(&value)
  }

  /// The same, but wakes only one of those that wait: where any of them will do, and none waits for anything else.
  public func changeWakingOne<R, E: Error>(_ body: (inout Value) throws(E) -> R) throws(E) -> R {
    unsafe pthread_mutex_lock(mutex)
    defer {
      unsafe pthread_cond_signal(changed)
      unsafe pthread_mutex_unlock(mutex)
    }
    return try body(&value)
  }

  /// Asks `body` now and after each change until it answers something or throws; nil after `seconds` without an
  /// answer. What `body` itself changes wakes nobody.
  public func wait<R, E: Error>(atMost seconds: Double, _ body: (inout Value) throws(E) -> R?) throws(E) -> R? {
    var end = Self.later(seconds)
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while true {
      if let answer = try body(&value) { return answer }
      if unsafe pthread_cond_timedwait(changed, mutex, &end) == ETIMEDOUT { return try body(&value) }
    }
  }

  /// The same without an end.
  public func wait<R, E: Error>(_ body: (inout Value) throws(E) -> R?) throws(E) -> R {
    unsafe pthread_mutex_lock(mutex)
    defer { unsafe pthread_mutex_unlock(mutex) }
    while true {
      if let answer = try body(&value) { return answer }
      unsafe pthread_cond_wait(changed, mutex)
    }
  }

  private static func later(_ seconds: Double) -> timespec {
    var now = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &now)
    let nanoseconds = now.tv_nsec + Int((max(seconds, 0).truncatingRemainder(dividingBy: 1)) * 1e9)
    now.tv_sec += Int(max(seconds, 0)) + nanoseconds / 1_000_000_000
    now.tv_nsec = nanoseconds % 1_000_000_000
    return now
  }
}
