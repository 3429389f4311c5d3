import CDroverPlugin
import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization

/// The rows of the fault matrix for one stage in one place.
struct CheckSteps {
  struct Step {
    var name: String
    var run: () throws -> CheckPassed
  }

  let subject: CheckSubject
  private var stage: LoadedStage { subject.stage }
  private var place: CheckSubject.Place { subject.place }

  /// In this order; the same for the same plugin.
  var all: [Step] {
    let device = CheckDeviceSteps(subject: subject)
    if place == .task {
      return [
        Step(name: "wrong parameters", run: device.wrongParameters), Step(name: "runs", run: runsTask),
        Step(name: "cancelled before", run: cancelledTask),
      ]
    }
    var steps = [
      Step(name: "opens and closes", run: device.opensAndCloses),
      Step(name: "wrong parameters", run: device.wrongParameters),
      Step(name: "plan has no effect", run: planHasNoEffect),
    ]
    if place.reads {
      steps += [
        Step(name: "extents", run: device.extents), Step(name: "reads", run: device.reads),
        Step(name: "reads at once", run: device.readsAtOnce),
      ]
    } else {
      steps.append(Step(name: "writes in any order", run: device.writesInAnyOrder))
    }
    return steps + [
      Step(name: "copies of odd sizes", run: copies), Step(name: "an error at every call", run: errorAtEveryCall),
      Step(name: "no space at every call", run: noSpaceAtEveryCall),
      Step(name: "a cancel at every call", run: cancelAtEveryCall),
      Step(name: "goes on at every checkpoint", run: goesOnAtEveryCheckpoint),
    ] + (place.writes ? [Step(name: "commits again", run: commitsAgain)] : [])
  }

  // MARK: Whole copies

  /// Compares what a finished copy made with what it was to make.
  private func verify(
    _ outcome: CheckSubject.Outcome, _ neighbours: CheckSubject.Neighbours, _ expected: [UInt8]?, _ when: String
  ) throws {
    guard let result = outcome.result else { throw CheckFailure("\(when): \(outcome.description)") }
    let content = neighbours.source.content?.bytes ?? []
    switch place {
    case .source, .readingFilter:
      guard let expected, Self.isSame(neighbours.sink.disk, expected) else {
        throw CheckFailure("\(when): other bytes arrived than a plain read gives")
      }
    case .writingFilter:
      guard let back = try readBack(neighbours.sink.disk) else { return }
      guard back.count >= content.count, Self.isSame(Array(back[..<content.count]), content),
        back[content.count...].allSatisfy({ $0 == 0 })
      else {
        throw CheckFailure("\(when): what was written reads back as other bytes")
      }
    case .sink:
      if let size = result.size, size != Int64(content.count) {
        throw CheckFailure("\(when): \(size) bytes were made of \(content.count)")
      }
    case .task: break
    }
  }

  private static func isSame(_ one: [UInt8], _ other: [UInt8]) -> Bool {
    one.withUnsafeBytes { one in other.withUnsafeBytes { ScratchContent.isSame(one, $0) } }
  }

  /// Through the same filter; nil where it is only for writing.
  private func readBack(_ disk: [UInt8]) throws -> [UInt8]? {
    guard stage.device.pread != nil else { return nil }
    let reader = subject.as(.readingFilter, written: disk)
    return try reader.inScene { scene in
      let neighbours = try reader.neighbours()
      defer { neighbours.release() }
      return try reader.opened(scene, neighbours) { try CheckDeviceSteps.content(of: $0.top) }
    }
  }

  private func runsTask() throws -> CheckPassed {
    try subject.inScene { scene in
      let neighbours = try subject.neighbours(size: 512)
      for number in 1...2 {
        let outcome = try subject.attempt(scene, neighbours, number: number)
        if let fault = outcome.fault, fault.code == .pluginMisbehaved || fault.code == .internalError {
          throw CheckFailure(outcome.description)
        }
        guard outcome.result != nil || outcome.fault != nil else { throw CheckFailure(outcome.description) }
        if let fault = outcome.fault {
          return CheckPassed(1, "it failed with \(fault.code.rawValue): \(fault.message)")
        }
      }
      return CheckPassed(2)
    }
  }

  private func cancelledTask() throws -> CheckPassed {
    try subject.inScene { scene in
      let outcome = try subject.attempt(
        scene, try subject.neighbours(size: 512),
        onCall: { count, interruption in if count == 1 { interruption.ask(.cancel) } })
      guard outcome.isStopped || outcome.result != nil else { throw CheckFailure(outcome.description) }
      return CheckPassed(1)
    }
  }

  private func planHasNoEffect() throws -> CheckPassed {
    guard stage.functions.plan != nil else { throw CheckSkipped("it has no plan") }
    return try subject.inScene { scene in
      let neighbours = try subject.neighbours()
      defer { neighbours.release() }
      let before = try scene.listing()
      var plans: [JobPlan] = []
      for _ in 1...2 {
        let outcome = try subject.attempt(scene, neighbours, mode: .plan)
        guard let plan = outcome.plan else { throw CheckFailure(outcome.description) }
        plans.append(plan)
      }
      guard try scene.listing() == before else {
        throw CheckFailure("it changed \(difference(before, try scene.listing()))")
      }
      guard plans[0] == plans[1] else { throw CheckFailure("asked twice, it answers differently") }
      return CheckPassed(2)
    }
  }

  private func difference(_ before: [String], _ after: [String]) -> String {
    let changed = Set(before).symmetricDifference(after).sorted()
    return changed.prefix(4).joined(separator: ", ") + (changed.count > 4 ? " and \(changed.count - 4) more" : "")
  }

  private func copies() throws -> CheckPassed {
    let block = Int(try preferredBlock())
    let sizes =
      place == .source
      ? [(0, 512), (0, 256 << 10), (0, 3 << 20)]
      : [0, 1, 512, block - 512, block, block + 512, 2 * block + 1000, 3 * block].map { ($0, 256 << 10) }
    var refused: [String] = []
    var done = 0
    for (size, unit) in sizes where place != .readingFilter || size > 0 {
      try subject.inScene { scene in
        let neighbours = try subject.neighbours(size: size, block: UInt32(unit))
        defer { neighbours.release() }
        let what = place == .source ? "in blocks of \(unit) bytes" : "\(size) bytes"
        let expected: [UInt8]?
        do { expected = try subject.expected(neighbours) } catch let fault as Fault
          where Self.refuses(fault)
        {
          return refused.append("\(size) (\(fault.code.rawValue))")
        }
        let outcome = try subject.attempt(scene, neighbours)
        if let fault = outcome.fault, place != .source, Self.refuses(fault) {
          try leavesNothing(scene, "after \(what) was refused")
          return refused.append("\(size) (\(fault.code.rawValue))")
        }
        try verify(outcome, neighbours, expected, what)
        done += 1
      }
    }
    guard done > 0 else { throw CheckFailure("no size was accepted: \(refused.joined(separator: ", "))") }
    return CheckPassed(done, refused.isEmpty ? nil : "refused \(refused.joined(separator: ", "))")
  }

  /// For good, and in a way that a plugin may: not by misbehaving.
  private static func refuses(_ fault: Fault) -> Bool {
    fault.retry == .never && fault.code != .pluginMisbehaved && fault.code != .internalError
  }

  /// Of the side that is written.
  private func preferredBlock() throws -> UInt64 {
    guard place == .sink else { return 256 << 10 }
    return try subject.inScene { scene in
      let neighbours = try subject.neighbours()
      defer { neighbours.release() }
      let block = try subject.opened(scene, neighbours) { $0.top.info.blockPreferred }
      try subject.discard(scene)
      return block == 0 ? 2 << 20 : min(block, 8 << 20)
    }
  }

  private func leavesNothing(_ scene: CheckScene, _ when: String) throws {
    // Of what only reads nothing is discarded: the job's folder goes with the job.
    let own = place.reads ? ["job folder/\(stage.name)."] : []
    let left = try scene.leftovers(but: subject.mayLeave + own)
    guard left.isEmpty else { throw CheckFailure("\(when), \(difference([], left)) was left") }
  }

  // MARK: Faults

  /// All from 1 to `count`, or a spread of them.
  private func numbers(upTo count: Int) -> [Int] {
    let most = subject.cases
    guard count > most else { return count < 1 ? [] : Array(1...count) }
    return (0..<most).map { 1 + $0 * (count - 1) / (most - 1) }
  }

  /// A copy without a fault, to see how many calls it is made of, here and beside.
  private func cleanRun(
    eager: Bool = false, size: Int? = nil
  ) throws -> (own: [String], beside: Int, checkpoints: Int) {
    try subject.inScene { scene in
      let neighbours = try subject.neighbours(size: size)
      defer { neighbours.release() }
      let outcome = try subject.attempt(scene, neighbours, eager: eager, concurrency: size == nil ? 4 : 1)
      guard outcome.result != nil else { throw CheckFailure("a plain copy: \(outcome.description)") }
      let beside = place == .source ? neighbours.sink : neighbours.source
      return (outcome.calls, beside.calls, outcome.checkpoints.count)
    }
  }

  private func errorAtEveryCall() throws -> CheckPassed {
    let count = try cleanRun(eager: true).beside
    var cases = 0
    for number in numbers(upTo: count) {
      try subject.inScene { scene in
        let neighbours = try subject.neighbours()
        defer { neighbours.release() }
        let expected = try subject.expected(neighbours)
        neighbours.source.state.withLock { $0.calls = 0 }
        let fault = Fault(.io, "the check's device fails here, at call \(number)", retry: .transient)
        let beside = neighbours.fail(.init(call: number, fault: fault), beside: place)
        let first = try subject.attempt(scene, neighbours, eager: true)
        guard let failed = beside.state.withLock({ $0.lastFailed }) else { return }
        let when = "with an error at call \(number) of the device beside it (\(failed))"
        if first.result == nil {
          guard first.fault != nil else { throw CheckFailure("\(when): \(first.description)") }
          // Streams that have gone by can't be read again.
          if first.fault?.retry == .never { return }
          let second = try subject.attempt(scene, neighbours, number: 2, checkpoint: first.checkpoints.last)
          try verify(second, neighbours, expected, "\(when), then again")
        } else if failed != "commit" && failed != "checkpoint" {
          try verify(first, neighbours, expected, "\(when), of which it took no notice")
        }
        cases += 1
      }
    }
    return CheckPassed(cases)
  }

  private func noSpaceAtEveryCall() throws -> CheckPassed {
    let count = try cleanRun().beside
    var cases = 0
    for number in numbers(upTo: count) {
      try subject.inScene { scene in
        let neighbours = try subject.neighbours()
        defer { neighbours.release() }
        let fault = Fault(.noSpace, "the check's device is full, at call \(number)", retry: .never)
        let beside = neighbours.fail(.init(call: number, fault: fault), beside: place)
        let outcome = try subject.attempt(scene, neighbours)
        guard let failed = beside.state.withLock({ $0.lastFailed }) else { return }
        let when = "with no space at call \(number) of the device beside it (\(failed))"
        guard outcome.result == nil else { return }
        guard let told = outcome.fault else { throw CheckFailure("\(when): \(outcome.description)") }
        guard told.retry == .never else {
          throw CheckFailure("\(when): it says that another attempt may help: \(told.code.rawValue)")
        }
        try leavesNothing(scene, when)
        try subject.discard(scene)
        cases += 1
      }
    }
    return CheckPassed(cases)
  }

  private func cancelAtEveryCall() throws -> CheckPassed {
    let calls = try cleanRun().own
    var cases = 0
    for number in numbers(upTo: calls.count) {
      try subject.inScene { scene in
        let neighbours = try subject.neighbours()
        defer { neighbours.release() }
        let outcome = try subject.attempt(
          scene, neighbours,
          onCall: { count, interruption in if count == number { interruption.ask(.cancel) } })
        let when = "cancelled at call \(number) (\(calls[number - 1]) in a plain copy)"
        // Once the result is being put into its place it may well be finished.
        if outcome.result != nil, number > calls.count / 2 { return }
        guard outcome.isStopped else { throw CheckFailure("\(when): \(outcome.description)") }
        try leavesNothing(scene, when)
        cases += 1
      }
    }
    return CheckPassed(cases)
  }

  private func goesOnAtEveryCheckpoint() throws -> CheckPassed {
    let size = place == .sink ? (13 << 20) + 512 : (2 << 20) + 512
    let count = try cleanRun(eager: true, size: size).checkpoints
    guard count > 0 else { throw CheckSkipped("it can't be continued") }
    var (cases, fresh) = (0, 0)
    for number in numbers(upTo: count) {
      try subject.inScene { scene in
        let neighbours = try subject.neighbours(size: size)
        defer { neighbours.release() }
        let expected = try subject.expected(neighbours)
        let place = place
        let first = try subject.attempt(
          scene, neighbours, eager: true, concurrency: 1,
          onCheckpoint: { seen in
            guard seen == number else { return }
            _ = neighbours.fail(.init(call: nil, fault: Fault(.io, "the check ends the attempt here")), beside: place)
          })
        // Where the last call was through already, the copy is finished.
        guard first.result == nil, first.checkpoints.count >= number else { return }
        let from = first.checkpoints[number - 1]
        let when = "going on at byte \(from.offset)"
        let second = try subject.attempt(scene, neighbours, number: 2, checkpoint: from)
        try verify(second, neighbours, expected, when)
        if second.calls.contains("discard of \(stage.name)") { fresh += 1 }
        cases += 1
      }
    }
    guard cases > 0 else { throw CheckSkipped("each attempt was through before it could be ended") }
    return CheckPassed(cases, fresh == 0 ? nil : "began anew \(fresh) times")
  }

  private func commitsAgain() throws -> CheckPassed {
    try subject.inScene { scene in
      let neighbours = try subject.neighbours()
      defer { neighbours.release() }
      let first = try subject.attempt(scene, neighbours, eager: true)
      try verify(first, neighbours, nil, "a plain copy")
      let made = try scene.listing()
      // The attempt before ended between its last step and its report.
      let second = try subject.attempt(scene, neighbours, number: 2, checkpoint: first.checkpoints.last)
      if second.result == nil, second.fault?.retry == .never, first.checkpoints.isEmpty, first.result != nil,
        made.isEmpty
      {
        throw CheckSkipped("it can't be continued")
      }
      try verify(second, neighbours, nil, "an attempt after one that was finished")
      let committed = try scene.listing()
      try subject.discard(scene, asJob: "job-of-somebody-else")
      let left = try scene.listing()
      let missing = committed.filter { !left.contains($0) && $0.hasPrefix("{folder}") }
      guard missing.isEmpty else { throw CheckFailure("discard took what was committed: \(difference([], missing))") }
      return CheckPassed(2)
    }
  }
}
