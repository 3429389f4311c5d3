import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

/// Every call fails once, every answer of a write is lost once, the process dies after every write, every read is cut short,
/// and the machine sleeps after every call, under verification, repair, deletion and collection: no living block is lost,
/// nothing bad is called good, and no lock is stuck.
@Suite struct TendingFaultTests {
  static let parrot = SourceImage.filled([1, 2, 9])
  static let robin = SourceImage.filled([2, 4, 9])
  /// Made of what nobody needs.
  static let zebra = SourceImage.filled([7, nil, 9])

  private static func name(_ image: SourceImage, _ offset: UInt64) -> BlockName {
    image.bytes.withUnsafeBytes { BlockName(of: UnsafeRawBufferPointer(rebasing: $0[image.range(offset)])) }
  }

  /// A store with two images and a block that nobody needs.
  private static func origin() throws -> MemoryStore {
    let (bench, store) = Workbench.memory()
    for (image, name) in [(parrot, "parrot"), (robin, "robin"), (zebra, "zebra")] { try bench.backUp(image, as: name) }
    store[StoreLayout.imageConfig("zebra")] = nil
    return store
  }

  private static func copy(_ origin: MemoryStore) -> (Workbench, MemoryStore, SimulatedClock) {
    let clock = SimulatedClock()
    let (bench, store) = Workbench.memory(clock)
    for path in origin.paths { store[path] = origin[path] }
    return (bench, store, clock)
  }

  enum Kind: CaseIterable {
    case call, lostAnswer, death, cut

    func fault(_ nth: Int) -> FaultyStore.Fault {
      switch self {
      case .call: .call(nth)
      case .lostAnswer: .lostAnswer(nth)
      case .death: .death(afterWrites: nth - 1)
      case .cut: .cut(nth, bytes: 20)
      }
    }

    func isBeyond(_ nth: Int, _ store: FaultyStore) -> Bool {
      switch self {
      case .call: store.calls < nth
      case .lostAnswer: store.writes < nth
      case .death: store.writes < nth - 1
      case .cut: store.reads < nth
      }
    }
  }

  /// Runs `work` with a fault at every place on a copy of the store, checks, and runs it again without.
  private func atEachPlace(
    _ kind: Kind, on origin: MemoryStore, least: Int, work: (Workbench) throws -> Void,
    check: (Workbench, MemoryStore, _ isLast: Bool) throws -> Void
  ) throws {
    var nth = 1
    while true {
      let (bench, store, clock) = Self.copy(origin)
      let faulty = FaultyStore(store, kind.fault(nth))
      _ = storeError { try work(bench.on(faulty)) }
      let isLast = kind.isBeyond(nth, faulty)
      try check(bench, store, false)
      // Whatever lock the dead one left has expired by now.
      clock.advance(151)
      try work(bench)
      try check(bench, store, true)
      if isLast { break }
      nth += 1
      try #require(nth < 500)
    }
    #expect(nth > least, "only \(nth) places of \(kind)")
  }

  @Test(arguments: Kind.allCases) func verifications(_ kind: Kind) throws {
    let origin = try Self.origin()
    let bad = Self.name(Self.robin, ImageConfig.blockSize)
    origin[StorePool.images.block(bad)] = [1, 2, 3]
    try atEachPlace(kind, on: origin, least: kind == .call || kind == .cut ? 10 : 3) { bench in
      var options = StoreVerification.Options(scope: .all)
      options.threads = 1
      let report = try StoreVerification(options, bench.session).run()
      // Whatever happened: what is bad is not called good, and what is good not bad.
      let states = Dictionary(uniqueKeysWithValues: report.backups.map { ($0.name, $0.state) })
      #expect(states["robin"] != .good)
      #expect(states["parrot"] != .damaged)
    } check: { bench, store, isLast in
      #expect(try bench.restores("parrot", Self.parrot))
      #expect(store[StorePool.images.block(Self.name(Self.zebra, 0))] != nil, "a verification removes nothing")
      if isLast {
        #expect(store[StorePool.images.block(bad)] == nil)
        #expect(store[StorePool.images.aside(bad)] == [1, 2, 3])
        try bench.backUp(Self.robin, as: "robin")
        #expect(try bench.restores("robin", Self.robin))
      }
    }
  }

  @Test(arguments: Kind.allCases) func collections(_ kind: Kind) throws {
    try atEachPlace(kind, on: try Self.origin(), least: kind == .call ? 10 : 2) { bench in
      _ = try StoreCollection.run(dryRun: false, threads: 1, bench.session)
    } check: { bench, store, isLast in
      let areWhole = try bench.restores("parrot", Self.parrot) && bench.restores("robin", Self.robin)
      #expect(areWhole)
      if isLast { #expect(store[StorePool.images.block(Self.name(Self.zebra, 0))] == nil) }
    }
  }

  /// The machine sleeps after a call, so long that the lock expires; meanwhile another host makes a backup of the very
  /// blocks that are about to go.
  @Test(arguments: ["collect", "delete"]) func aSuspendedHolderRemovesNothing(_ work: String) throws {
    let origin = try Self.origin()
    var nth = 1
    var interrupted = 0
    while true {
      let (bench, store, clock) = Self.copy(origin)
      let woken = Mutex(false)
      let sleeping = FaultyStore(
        store,
        .pause(after: nth) {
          woken.withLock { $0 = true }
          clock.advance(200)
          _ = try? bench.backUp(Self.zebra, as: "zebra")
        })
      let error = storeError {
        if work == "collect" {
          _ = try StoreCollection.run(dryRun: false, threads: 1, bench.on(sleeping).session)
        } else {
          _ = try ImageDeletion.delete("robin", threads: 1, bench.on(sleeping).session)
        }
      }
      if error?.code == .lockLost { interrupted += 1 }
      guard woken.withLock({ $0 }) else { break }
      #expect(try bench.restores("parrot", Self.parrot), "\(nth)")
      #expect(try bench.restores("zebra", Self.zebra), "\(nth): \(error?.message ?? "no error")")
      nth += 1
      try #require(nth < 500)
    }
    #expect(nth > 10 && interrupted > 1, "\(nth) places, \(interrupted) interrupted")
  }

  /// Two hosts back up, delete, collect and verify at the same time; then everything that is there is good.
  @Test func twoHostsOnOneStore() throws {
    let folder = TemporaryFolder("store")
    let seconds = ProcessInfo.processInfo.environment["DROVER_SOAK"] == nil ? 4.0 : 120
    let end = BootClock.seconds() + seconds
    let images: [SourceImage] = (0..<6).map { (index: UInt8) in
      let values: [UInt8?] = [index, index + 1, nil, 40 + index / 2, 9]
      return SourceImage.filled(values)
    }
    let failures = Mutex<[String]>([])
    let counts = Mutex<[String: Int]>([:])
    let running = Monitor(2)
    for host in 0..<2 {
      try SystemThread.start("host") {
        defer { running.change { $0 -= 1 } }
        do {
          var bench = try Workbench.folder(folder)
          bench.timing.settle = 0.03
          bench.timing.patience = 60
          var noise = Noise(seed: UInt64(host + 1))
          while BootClock.seconds() < end {
            let index = Int.random(in: 0..<images.count, using: &noise)
            let work = ["back up", "back up", "back up", "delete", "collect", "verify"].randomElement(using: &noise)!
            do {
              switch work {
              case "back up":
                var one = bench
                one.jobs = TemporaryFolder("job")
                try one.backUp(images[index], as: "image-\(index)")
              case "delete": _ = try ImageDeletion.delete("image-\(index)", bench.session)
              case "collect": _ = try StoreCollection.run(dryRun: false, threads: 2, bench.session)
              default:
                var options = StoreVerification.Options(scope: .all)
                options.threads = 1
                let report = try StoreVerification(options, bench.session).run()
                let damaged = report.backups.filter { $0.state == .damaged || $0.state == .unreadable }
                if let first = damaged.first { failures.withLock { $0.append("\(first.name): \(first.reason)") } }
              }
              counts.withLock { $0[work, default: 0] += 1 }
            } catch let error as StoreError where error.retry == .transient {
              // Somebody was faster; the job would try again.
              counts.withLock { $0["tried again", default: 0] += 1 }
            }
          }
        } catch {
          failures.withLock { $0.append("host \(host): \(error)") }
        }
      }
    }
    _ = running.wait(atMost: seconds + 120) { $0 == 0 ? true : nil }
    #expect(failures.withLock { $0 } == [])
    #expect(counts.withLock { $0["back up"] ?? 0 } > 0)
    let bench = try Workbench.folder(folder)
    let names = try bench.store.imageNames()
    for name in names {
      let index = try #require(Int(name.dropFirst("image-".count)))
      #expect(try bench.restores(name, images[index]))
    }
    let report = try StoreVerification(.init(scope: .all), bench.session).run()
    #expect(report.backups.map(\.name) == names)
    #expect(report.backups.allSatisfy { $0.state == .good })
    #expect(try bench.store.names(in: StoreLayout.imageLocks, deadline: .never) == [])
  }
}
