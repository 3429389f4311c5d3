import Glibc
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

/// The same on a thread that may block, with a question that may cost more.
public func until<T>(
  _ what: @autoclosure () -> String, within seconds: Double = 30, every pause: Double = 0.02,
  _ probe: () throws -> T?
) throws -> T {
  let deadline = BootClock.seconds() + seconds
  while true {
    if let answer = try probe() { return answer }
    guard BootClock.seconds() < deadline else {
      throw DeadlineExceeded(description: "not within \(seconds) s: \(what())")
    }
    usleep(UInt32(pause * 1e6))
  }
}

public func until(
  _ what: @autoclosure () -> String, within seconds: Double = 30, every pause: Double = 0.02,
  _ isSo: () throws -> Bool
) throws {
  _ = try until(what(), within: seconds, every: pause) { try isSo() ? true : nil }
}

/// The same for a plain condition.
public func eventually(_ what: String, within seconds: Double = 30, _ probe: () async throws -> Bool) async throws {
  _ = try await eventually(what, within: seconds) { try await probe() ? true : nil }
}
