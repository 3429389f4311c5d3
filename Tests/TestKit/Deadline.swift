import LinuxSystem

/// What a test waited for did not come.
public struct DeadlineExceeded: Error, CustomStringConvertible {
  public var description: String
  public init(description: String) { self.description = description }
}

/// Asks again, every few milliseconds, until the answer is not nil; fails after `seconds`.
public func eventually<T>(
  _ what: String, within seconds: Double = 30, _ probe: () async throws -> T?
) async throws -> T {
  let deadline = BootClock.seconds() + seconds
  while true {
    if let answer = try await probe() { return answer }
    guard BootClock.seconds() < deadline else {
      throw DeadlineExceeded(description: "not within \(seconds) s: \(what)")
    }
    try await Task.sleep(for: .milliseconds(20))
  }
}

/// The same for a plain condition.
public func eventually(_ what: String, within seconds: Double = 30, _ probe: () async throws -> Bool) async throws {
  _ = try await eventually(what, within: seconds) { try await probe() ? true : nil }
}
