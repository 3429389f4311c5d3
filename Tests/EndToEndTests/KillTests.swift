import DroverModel
import Foundation
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// Worker and daemon die or fail at many kinds of persisted step of each kind of job, also while they recover, and
  /// everything ends as if they had not. `./dev test --soak` takes every single step: see `SoakTests`.
  @Suite(.enabled(if: Effects.library != nil, "needs a C compiler, and programs without a sanitizer"))
  struct KillTests {
    @Test(.timeLimit(.minutes(10))) func deathAtEachSecondKindOfStep() throws {
      let profile = try StepProfile.measure()
      // A daemon that has died takes longest to come back.
      let how =
        Array(repeating: ["kill", "kill-after"], count: 6).flatMap(\.self) + ["kill-both", "kill-after", "kill-parent"]
      let faults = profile.faults(steps: profile.every(2), how: how, deaths: 3)
      let counts = try KillRound("deaths", items: profile.items(faults), faults: faults, images: StampedImages()).run()
      print("deaths at each second kind of step: \(faults.count) planned, \(counts)")
      #expect(counts.faults > faults.count / 2)
    }

    @Test(.timeLimit(.minutes(10))) func theDaemonDiesAgainAndAgain() throws {
      let counts = try KillRound(
        "the daemon dies", items: 1, faults: StepProfile.chain(every: 71, count: 12), images: StampedImages()
      ).run()
      print("the daemon dies again and again: \(counts)")
      #expect(counts.faults > 3)
    }

    /// Between the answer of a policy and the commit of it, between the commit and what follows from it, and later.
    @Test(.timeLimit(.minutes(10))) func theDaemonDiesAroundADecision() throws {
      let faults = StepProfile.decisions(items: 6, from: 0, steps: [1, 2, 3, 5, 8, 12])
      let counts = try KillRound(
        "the daemon dies around a decision", items: 6, faults: faults, images: StampedImages()
      ).run()
      print("the daemon dies around a decision: \(counts)")
      #expect(counts.faults > 6 && counts.decisions > 6, "\(counts)")
    }

    @Test(.timeLimit(.minutes(10))) func thePolicyDiesAtItsSteps() throws {
      let counts = try KillRound(
        "the policy dies", items: 6, faults: StepProfile.policies(steps: [9, 14, 1, 10, 3, 15, 5, 7, 2, 13]),
        images: StampedImages()
      ) { try $0.writePolicy() }.run()
      print("the policy dies at its steps: \(counts)")
      #expect(counts.faults > 3 && counts.decisions > 0, "\(counts)")
      #expect(counts.daemonStarts == 1)
    }

    /// EIO, no space, a file system that has become read-only, in turns.
    @Test(.timeLimit(.minutes(10))) func errorsAtEachFourthKindOfStep() throws {
      let profile = try StepProfile.measure()
      let faults = profile.faults(steps: profile.every(4), how: ["fail-5", "fail-28", "fail-30"], deaths: 3)
      let counts = try KillRound(
        "errors", items: profile.items(faults), faults: faults, images: StampedImages(), retriesByHand: true
      ).run()
      print("errors at each fourth kind of step: \(faults.count) planned, \(counts)")
      #expect(counts.faults > faults.count / 2)
      #expect(counts.daemonStarts == 1)
    }

    @Test(.timeLimit(.minutes(5))) func readsThatFailAndReadsAndWritesThatAreShort() throws {
      let short = Effects.Fault(id: 1, role: .worker, step: 0, how: "short")
      let reads = KillRound.Kind.allCases.enumerated().map { index, kind in
        Effects.Fault(
          id: index + 2, role: .worker, step: 2 + index, how: "read-5", pattern: KillRound.pattern(kind, index % 2))
      }
      let counts = try KillRound(
        "short", items: 2, faults: [short] + reads, images: StampedImages(), retriesByHand: true
      ).run()
      #expect(counts.faults > 2, "\(counts)")
      #expect(counts.daemonStarts == 1)
    }

    /// The catalog's disk fails now and then, and processes can't be started: the daemon stays up and goes on.
    @Test(.timeLimit(.minutes(5))) func aDaemonWhoseCallsFailStaysUp() throws {
      let errors = [28, 5, 28, 5].enumerated().map { index, number in
        Effects.Fault(id: index + 1, role: .daemon, step: 160 + 43 * index, how: "fail-\(number)")
      }
      let starts = [2, 5, 9].enumerated().map { index, number in
        Effects.Fault(id: 10 + index, role: .daemon, step: number, how: "spawn-11")
      }
      let counts = try KillRound(
        "the daemon's calls fail", items: 2, faults: errors + starts, images: StampedImages(), retriesByHand: true
      ).run()
      #expect(counts.faults > 4, "\(counts)")
      #expect(counts.daemonStarts == 1)
    }
  }
}
