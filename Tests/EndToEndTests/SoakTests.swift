import DroverModel
import Foundation
import Glibc
import LinuxSystem
import Synchronization
import TestKit
import Testing

extension EndToEnd {
  /// For `./dev test --soak`: every persisted step of every kind of job dies once, and then, until the time is over, worker
  /// and daemon die and fail at random steps and moments. docs/reliability.md says how to read it.
  @Suite(
    .enabled(if: Soak.isWanted, "takes long: ./dev test --soak runs it"),
    .enabled(if: Effects.library != nil, "needs a C compiler, and programs without a sanitizer"))
  struct SoakTests {
    @Test(.timeLimit(.minutes(Soak.minutes + 60))) func everyStepAndRandomMoments() throws {
      let soak = Soak()
      soak.begin()
      defer { soak.end() }
      if let only = Soak.onlyRound {
        try soak.randomRound(only)
        return
      }
      try soak.everyStep()
      while !soak.isOver { try soak.randomRound(soak.nextRound) }
    }
  }
}

/// One long run: its seed, its time, and what it has counted.
final class Soak: Sendable {
  private static let environment = ProcessInfo.processInfo.environment
  static let isWanted = environment["DROVER_SOAK"] != nil
  static let minutes = environment["DROVER_SOAK_MINUTES"].flatMap { Int($0) } ?? 60
  /// To see one random round of a seed again.
  static let onlyRound = environment["DROVER_SOAK_ROUND"].flatMap { Int($0) }
  private static let seed =
    environment["DROVER_SOAK_SEED"].flatMap { UInt64($0) } ?? UInt64(WallClock.nanoseconds()) % 1_000_000_000

  private struct State {
    var counts = KillRound.Counts()
    var failedRounds = 0
    var stepsLeft = 0
    var randomRounds = 0
    var hasEnded = false
  }
  private let state = Monitor(State())
  private let start = BootClock.seconds()

  var isOver: Bool { BootClock.seconds() - start >= Double(Self.minutes) * 60 }
  /// Of the random rounds, from 1.
  var nextRound: Int { state.withLock { $0.randomRounds + 1 } }

  /// From now on a line of counts is printed every minute.
  func begin() {
    say("soak: seed \(Self.seed), \(Self.minutes) minutes")
    Thread.detachNewThread { [self] in
      var told = 0
      while state.wait(atMost: 0.5, { $0.hasEnded ? true : nil }) == nil {
        let minute = Int((BootClock.seconds() - start) / 60)
        guard minute > told else { continue }
        told = minute
        report()
      }
    }
  }

  func end() {
    state.change { $0.hasEnded = true }
    report()
  }

  private func report() {
    let (counts, failed, left) = state.withLock { ($0.counts, $0.failedRounds, $0.stepsLeft) }
    let seconds = Int(BootClock.seconds() - start)
    say(
      "soak: \(seconds / 60):\(seconds % 60 < 10 ? "0" : "")\(seconds % 60) seed \(Self.seed) rounds \(counts.rounds) "
        + "faults \(counts.faults) random-kills \(counts.killedAtRandom) daemon-starts \(counts.daemonStarts) "
        + "jobs \(counts.jobs) attempts \(counts.attempts) images \(counts.images) backups \(counts.backups) "
        + "decisions \(counts.decisions) "
        + "steps-left \(left) findings \(Findings.count) failed-rounds \(failed)")
  }

  /// Also into `soak.log` beside the test program: what runs the tests may hold their output back for long.
  private func say(_ line: String) {
    let bytes = Array((line + "\n").utf8)
    _ = write(STDERR_FILENO, bytes, bytes.count)
    if let log { _ = write(log.descriptor, bytes, bytes.count) }
  }

  private let log: OpenFile? = {
    let log = try? OpenFile.open(BuiltProducts.folder + "/soak.log", .create(permissions: 0o644))
    if let log { lseek(log.descriptor, 0, SEEK_END) }
    return log
  }()

  private func carryOut(_ label: String, _ round: () throws -> KillRound) {
    let before = Findings.count
    do {
      let counts = try round().run()
      state.withLock { $0.counts += counts }
    } catch {
      Findings.check(false, "\(label): \(error)")
    }
    if Findings.count > before {
      state.withLock { $0.failedRounds += 1 }
      say("soak: FAILED \(label), seed \(Self.seed)")
    }
  }

  // MARK: Every step

  private static let itemsAtOnce = 10

  /// Each step of each kind of job: the worker dies before it, and worker and daemon die before it. Each early step of
  /// the daemon. As far as the time allows.
  func everyStep() throws {
    let profile = try StepProfile.measure()
    var slices: [(label: String, faults: [Effects.Fault])] = []
    for how in ["kill", "kill-both"] {
      let longest = profile.all.values.map(\.count).max() ?? 0
      for first in stride(from: 0, to: longest, by: Self.itemsAtOnce) {
        let steps = profile.all.mapValues { Array($0.dropFirst(first).prefix(Self.itemsAtOnce)) }
        slices.append(("\(how) at steps from \(first + 1)", profile.faults(steps: steps, how: [how], deaths: 1)))
      }
      guard how == "kill" else { continue }
      for last in stride(from: 200, to: 0, by: -10) {
        let lives = (0..<10).map { life in
          Effects.Fault(id: life + 1, after: life, role: .daemon, step: last - life, how: "kill")
        }
        slices.append(("the daemon dies at its steps \(last) to \(last - 9)", lives))
      }
    }
    for first in stride(from: 1, to: 24, by: 6) {
      let faults = StepProfile.decisions(items: 6, from: 0, steps: Array(first..<(first + 6)))
      slices.append(("the daemon dies at steps \(first) to \(first + 5) of a decision", faults))
    }
    slices.append(("the policy dies at its steps", StepProfile.policies(steps: (1...8).flatMap { [$0, $0 + 8] })))
    state.withLock { $0.stepsLeft = slices.reduce(0) { $0 + $1.faults.count } }
    let images = try StampedImages()
    for slice in slices where !isOver {
      carryOut(slice.label) {
        let items =
          switch slice.faults.first {
          case .some(let fault) where fault.role == .policy || fault.step < 0: 6
          case .some(let fault) where fault.role == .daemon: 1
          default: profile.items(slice.faults)
          }
        return try KillRound(slice.label, items: items, faults: slice.faults, images: images) { try $0.writePolicy() }
      }
      state.withLock { $0.stepsLeft -= slice.faults.count }
    }
  }

  // MARK: Random

  /// The same for the same seed and number, but for what the machine does.
  func randomRound(_ number: Int) throws {
    let profile = try StepProfile.measure()
    var noise = Noise(seed: Self.seed &+ UInt64(number) &* 1_000_003)
    let images = try StampedImages(seed: Self.seed)
    let label: String
    let items = Int.random(in: 1...6, using: &noise)
    let make: () throws -> KillRound
    switch Int.random(in: 0..<5, using: &noise) {
    case 0:
      label = "random round \(number): workers die"
      let workers = profile.random(items: items, how: ["kill", "kill-after", "tear"], using: &noise)
      let faults = workers + StepProfile.policies(after: workers.count, using: &noise)
      make = { try KillRound(label, items: items, faults: faults, images: images) }
    case 1:
      label = "random round \(number): both die"
      let workers = profile.random(items: items, how: ["kill-both", "kill-parent", "kill"], using: &noise)
      let faults =
        workers + StepProfile.decisions(items: items, from: workers.count, steps: Array(1...24).shuffled(using: &noise))
      make = { try KillRound(label, items: items, faults: faults, images: images) }
    case 2:
      label = "random round \(number): the daemon dies"
      let lives = (0..<12).map { life in
        Effects.Fault(
          id: life + 1, after: life, role: .daemon, step: Int.random(in: 1...250, using: &noise),
          how: ["kill", "kill-after", "tear"].randomElement(using: &noise)!)
      }
      make = { try KillRound(label, items: items, faults: lives, images: images) }
    case 3:
      label = "random round \(number): errors"
      let faults = profile.random(items: items, how: ["fail-5", "fail-28", "fail-30", "kill"], using: &noise)
      make = { try KillRound(label, items: items, faults: faults, images: images, retriesByHand: true) }
    default:
      label = "random round \(number): kills at random moments"
      let slow = try StampedImages(seed: Self.seed, blocks: 12, isSlow: true)
      let moments = Mutex(noise)
      make = {
        try KillRound(label, items: items, images: slow) { round in
          let (pause, chance) = moments.withLock { noise in
            (UInt32.random(in: 0...600_000, using: &noise), Int.random(in: 0..<6, using: &noise))
          }
          guard round.counts.killedAtRandom < 30 else { return }
          usleep(pause)
          if chance < 3 { try round.kill([.daemon, .worker, .policy][chance]) }
        }
      }
    }
    carryOut(label, make)
    state.withLock { $0.randomRounds += 1 }
  }
}
