import ArgumentParser
import DroverModel

/// What failed of several things that were asked for at once: each is told when it happens, and the exit code is that of all.
struct Failures {
  private var faults: [Fault] = []

  var count: Int { faults.count }

  /// Goes on after a fault, which is shown; an error that all the others would meet as well is thrown.
  mutating func attempt(_ body: () throws -> Void) throws {
    do { try body() } catch let fault as Fault where fault.code != .daemonUnreachable { add(fault) }
  }

  mutating func add(_ fault: Fault) {
    faults.append(fault)
    ErrorReport(arguments: CommandLine.arguments).show(fault)
  }

  /// Throws the exit code: 3 where something succeeded, the faults' own where they have one in common, else 1.
  func end(succeeded: Int) throws {
    guard let first = faults.first else { return }
    if succeeded > 0 { throw ExitCode(3) }
    throw ExitCode(Set(faults.map(\.code.exitCode)).count == 1 ? first.code.exitCode : 1)
  }
}
