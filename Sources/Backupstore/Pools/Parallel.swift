import LinuxSystem

/// Blocking work on several threads.
enum Parallel {
  /// Calls `body` once for each index below `count`, on at most `threads` threads, the caller's own among them, in order
  /// of their beginning. After an error no further index is begun; the first one is thrown when all have ended.
  static func forEach(
    _ count: Int, threads: Int, _ body: @escaping @Sendable (Int) throws(StoreError) -> Void
  ) throws(StoreError) {
    struct State {
      var next = 0
      var running = 0
      var error: StoreError?
    }
    let state = Monitor(State())
    @Sendable func work() {
      while true {
        let index: Int? = state.withLock { state in
          guard state.error == nil, state.next < count else { return nil }
          defer { state.next += 1 }
          return state.next
        }
        guard let index else { return }
        do throws(StoreError) { try body(index) } catch {
          state.withLock { $0.error = $0.error ?? error }
        }
      }
    }
    for _ in 1..<max(2, min(threads, count)) where threads > 1 && count > 1 {
      state.withLock { $0.running += 1 }
      do throws(SystemError) {
        try SystemThread.start("store blocks") {
          work()
          state.change { $0.running -= 1 }
        }
      } catch {
        // Fewer threads do the same work.
        state.withLock { $0.running -= 1 }
        break
      }
    }
    work()
    let error: StoreError?? = state.wait { state in state.running == 0 ? .some(state.error) : nil }
    if let error, let error { throw error }
  }
}
