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

  /// Calls `make` once for each index below `count`, on at most `threads` threads, and `take` with each result on the
  /// calling thread, in the order of the indices: as if one came after the other. At most `threads` results are held that
  /// were not taken. The first error, in that order too, is thrown when all calls have ended.
  static func inOrder<Made: Sendable>(
    _ count: Int, threads: Int, make: @escaping @Sendable (Int) throws(StoreError) -> Made,
    take: (Int, Made) throws(StoreError) -> Void
  ) throws(StoreError) {
    let state = Monitor(InOrder<Made>())
    @Sendable func work() {
      while true {
        let index: Int? = state.wait { state -> Int?? in
          if state.isOver || state.next >= count { return .some(nil) }
          guard state.next < state.taken + threads else { return nil }
          defer { state.next += 1 }
          return state.next
        }
        guard let index else { return state.change { $0.running -= 1 } }
        let result = Result { () throws(StoreError) in try make(index) }
        state.change { $0.made[index] = result }
      }
    }
    var started = 0
    for _ in 0..<min(threads, count) {
      state.withLock { $0.running += 1 }
      do throws(SystemError) { try SystemThread.start("store configs") { work() } } catch {
        // Fewer threads do the same work, the caller's own where there is none.
        state.withLock { $0.running -= 1 }
        break
      }
      started += 1
    }
    defer {
      state.change { $0.isOver = true }
      state.wait { $0.running == 0 ? () : nil }
    }
    for index in 0..<count {
      let result =
        started == 0
        ? Result { () throws(StoreError) in try make(index) } : state.wait { $0.made.removeValue(forKey: index) }
      try take(index, result.get())
      state.change { $0.taken = index + 1 }
    }
  }
}

/// How far the calls of `Parallel.inOrder` are.
private struct InOrder<Made: Sendable> {
  var next = 0
  var taken = 0
  var made: [Int: Result<Made, StoreError>] = [:]
  var isOver = false
  var running = 0
}
