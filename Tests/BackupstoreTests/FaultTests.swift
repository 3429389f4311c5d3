import TestKit
import Testing

@testable import Backupstore

/// Every call fails once, every answer of a write is lost once, and the process dies after every write: no backup that
/// was complete ever loses a block, and the next attempt ends well.
@Suite struct FaultTests {
  static let parrot = SourceImage.filled([1, 2, 9])
  static let robin = SourceImage.filled([2, nil, 4, 9])

  enum Kind: CaseIterable {
    case call, lostAnswer, death

    func fault(_ nth: Int) -> FaultyStore.Fault {
      switch self {
      case .call: .call(nth)
      case .lostAnswer: .lostAnswer(nth)
      case .death: .death(afterWrites: nth - 1)
      }
    }

    /// Whether the nth fault still had something to hit.
    func wasHit(_ nth: Int, _ store: FaultyStore) -> Bool {
      switch self {
      case .call: store.calls >= nth
      case .lostAnswer: store.writes >= nth
      case .death: store.writes >= nth - 1
      }
    }
  }

  /// Runs `body` with a fault at every place, on a fresh store that has `parrot`, and then without.
  private func atEachPlace(
    of kind: Kind, least: Int, _ body: (Workbench) throws -> Void, check: (Workbench, MemoryStore) throws -> Void
  ) throws {
    let origin = Workbench.memory()
    try origin.0.backUp(Self.parrot, as: "parrot")
    var nth = 1
    while true {
      let clock = SimulatedClock()
      let (bench, store) = Workbench.memory(clock)
      for path in origin.1.paths { store[path] = origin.1[path] }
      let faulty = FaultyStore(store, kind.fault(nth))
      let failed = storeError { try body(bench.on(faulty)) } != nil
      let isLast = kind == .death ? !failed && faulty.writes < nth : !kind.wasHit(nth, faulty)
      #expect(try bench.restores("parrot", Self.parrot), "\(kind) \(nth)")
      // Whatever lock the dead one left has expired by now.
      clock.advance(151)
      try body(bench)
      try check(bench, store)
      #expect(try bench.restores("parrot", Self.parrot), "\(kind) \(nth)")
      if isLast { break }
      nth += 1
      try #require(nth < 500)
    }
    #expect(nth > least, "only \(nth) places of \(kind)")
  }

  @Test(arguments: Kind.allCases) func backups(_ kind: Kind) throws {
    try atEachPlace(of: kind, least: 6) { bench in
      try bench.backUp(Self.robin, as: "robin")
    } check: { bench, store in
      let isWhole = try bench.restores("robin", Self.robin)
      #expect(isWhole)
      #expect(store.paths.filter { $0.hasSuffix(".blk") }.count == 4)
    }
  }

  @Test(arguments: Kind.allCases) func continuedBackups(_ kind: Kind) throws {
    try atEachPlace(of: kind, least: 6) { bench in
      // Attempts of one job: with the token of the last checkpoint, if one was made.
      let half = Self.robin.blocks[2]
      var token: [UInt8]?
      for isLast in [false, true] {
        let backup = try ImageBackup.open(
          bench.request(Self.robin, as: "robin", checkpoint: token), at: bench.target, bench.session)
        defer { backup.close() }
        var part = Self.robin
        if !isLast { part.blocks.removeAll { $0 >= half } }
        try backup.write(part, from: isLast ? half : 0)
        try backup.flush()
        if isLast {
          _ = try backup.commit(size: part.size, checksum: nil)
        } else {
          token = try backup.checkpoint(offset: half)
        }
      }
    } check: { bench, _ in
      let isWhole = try bench.restores("robin", Self.robin)
      #expect(isWhole)
    }
  }

  @Test(arguments: Kind.allCases) func deletions(_ kind: Kind) throws {
    let robin = Workbench.memory()
    try robin.0.backUp(Self.robin, as: "robin")
    try atEachPlace(of: kind, least: 5) { bench in
      // The second time there is nothing more to delete but the blocks.
      if try bench.store.imageNames().contains("robin") == false && bench.observer.lines.isEmpty {
        for path in robin.1.paths where try bench.store.status(of: path, deadline: .never) == nil {
          try bench.store.write(path, document: robin.1[path]!)
        }
      }
      bench.observer.log(.info, "deleting")
      _ = try ImageDeletion.delete("robin", bench.session)
    } check: { bench, store in
      let names = try bench.store.imageNames()
      #expect(names == ["parrot"])
      #expect(store.paths.filter { $0.hasSuffix(".blk") }.count == 3, "only what parrot needs")
    }
  }

  @Test(arguments: Kind.allCases) func discards(_ kind: Kind) throws {
    try atEachPlace(of: kind, least: 2) { bench in
      let backup = try ImageBackup.open(bench.request(Self.robin, as: "robin"), at: bench.target, bench.session)
      backup.close()
      try ImageBackup.discard(name: "robin", jobFolder: bench.jobs.path, bench.session)
    } check: { bench, _ in
      let names = try bench.store.imageNames()
      #expect(names == ["parrot"])
    }
  }
}
