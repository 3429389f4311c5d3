import DroverModel
import Foundation
import LinuxSystem
import TestKit
import Testing

/// The steps that a worker takes for each kind of job where nothing goes wrong.
struct StepProfile {
  var steps: [KillRound.Kind: [Effects.Effect]]

  /// Takes one item through everything, and looks which worker did what.
  static func measure() throws -> StepProfile {
    if let known = measured { return known }
    let round = try KillRound("a round without faults", items: 1, images: StampedImages())
    _ = try round.run()
    let all = try #require(try round.host.effects?.trace())
    let byWorker = Dictionary(grouping: all.filter { $0.role == "worker" }, by: \.pid)
    var steps: [KillRound.Kind: [Effects.Effect]] = [:]
    for effects in byWorker.values {
      if let kind = kind(of: effects) { steps[kind] = effects.sorted { $0.number < $1.number } }
    }
    for kind in KillRound.Kind.allCases { #expect(steps[kind] != nil, "no worker was seen for \(kind)") }
    measured = StepProfile(steps: steps)
    return measured!
  }
  // Tests with daemons run one after the other.
  private nonisolated(unsafe) static var measured: StepProfile?

  private static func kind(of effects: [Effects.Effect]) -> KillRound.Kind? {
    func touches(_ part: String) -> Bool { effects.contains { $0.path.contains(part) } }
    if touches("/images/d0-") { return .download }
    if touches("/images/c0-") { return .clone }
    if touches("/images/r0-") { return .restore }
    if touches("/images/u0-") { return .upload }
    if touches("/delete-backup.locks") { return .deletion }
    return touches("/backup.locks") ? .backup : nil
  }

  /// Every step.
  var all: [KillRound.Kind: [Int]] { steps.mapValues { $0.map(\.number) } }

  /// The first of each `nth` kind of step, and the last of all.
  func every(_ nth: Int) -> [KillRound.Kind: [Int]] {
    steps.mapValues { effects in
      var seen: Set<String> = []
      let distinct = effects.filter { seen.insert($0.kind).inserted }.map(\.number)
      return distinct.enumerated().filter { $0.offset.isMultiple(of: nth) }.map(\.element) + [effects.count]
    }
  }

  /// One fault for each step. An item takes so many of a kind's, one after the other: each but the first is one in the
  /// attempt that recovers.
  func faults(steps chosen: [KillRound.Kind: [Int]], how: [String], deaths: Int) -> [Effects.Fault] {
    var faults: [Effects.Fault] = []
    for kind in KillRound.Kind.allCases {
      for (index, step) in (chosen[kind] ?? []).enumerated() {
        let item = index / deaths
        let id = faults.count + 1
        faults.append(
          Effects.Fault(
            id: id, after: index % deaths == 0 ? 0 : id - 1, role: .worker, step: step, how: how[id % how.count],
            pattern: KillRound.pattern(kind, item)))
      }
    }
    return faults
  }

  /// How many items the faults need.
  func items(_ faults: [Effects.Fault]) -> Int {
    let numbers = faults.compactMap { fault in
      fault.pattern.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
    }
    return (numbers.max() ?? 0) + 1
  }

  /// Random faults for so many items: one in each kind of job, and in half of them another in the next attempt.
  func random(items: Int, how: [String], using noise: inout Noise) -> [Effects.Fault] {
    var faults: [Effects.Fault] = []
    for item in 0..<items {
      for kind in KillRound.Kind.allCases {
        let last = max(1, steps[kind]?.count ?? 1)
        var after = 0
        repeat {
          let id = faults.count + 1
          faults.append(
            Effects.Fault(
              id: id, after: after, role: .worker, step: Int.random(in: 1...last, using: &noise),
              how: how.randomElement(using: &noise)!, pattern: KillRound.pattern(kind, item)))
          after = id
        } while Bool.random(using: &noise)
      }
    }
    return faults
  }

  /// The daemon dies at each of these steps of the decision about the name of an item's backup, and of that about its
  /// labels: 1 is the write that has the decision in it. What comes after its last is the act.
  static func decisions(items: Int, from first: Int, steps: [Int]) -> [Effects.Fault] {
    zip(0..<items, steps).flatMap { item, step in
      [PolicyPoint.naming, .labels].enumerated().map { index, point in
        Effects.Fault(
          id: first + 2 * item + index + 1, role: .daemon, step: -step,
          how: step.isMultiple(of: 2) ? "kill" : "kill-after",
          pattern: KillRound.decision(point, item))
      }
    }
  }

  /// A process for policies dies at the first of these steps, the next one at the second, and so on.
  static func policies(steps: [Int], from first: Int = 0) -> [Effects.Fault] {
    steps.enumerated().map { index, step in
      Effects.Fault(
        id: first + index + 1, after: index == 0 ? 0 : first + index, role: .policy, step: step,
        how: ["kill", "kill-after", "tear"][index % 3])
    }
  }

  /// A few of them at random steps.
  static func policies(after first: Int, using noise: inout Noise) -> [Effects.Fault] {
    policies(steps: (0..<4).map { _ in Int.random(in: 1...14, using: &noise) }, from: first)
  }

  /// A daemon that dies at that step of its life, again and again.
  static func chain(every step: Int, count: Int) -> [Effects.Fault] {
    (1...count).map { Effects.Fault(id: $0, after: $0 - 1, role: .daemon, step: step, how: "kill") }
  }
}
