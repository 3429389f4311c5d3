import Compression
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

@Suite struct VerificationTests {
  static let parrot = SourceImage.filled([1, 2, nil, 9])
  static let robin = SourceImage.filled([2, 3, 9])

  let clock = SimulatedClock()
  let bench: Workbench
  let store: MemoryStore

  init() throws {
    (bench, store) = Workbench.memory(clock)
    try bench.backUp(Self.parrot, as: "parrot")
    try bench.backUp(Self.robin, as: "robin")
  }

  private func verify(
    _ scope: VerificationScope = .all, on other: (any ObjectStore)? = nil, repairs: Bool = false,
    journal: String? = nil, shard: Int = 1 << 20
  ) throws -> VerificationReport {
    var options = StoreVerification.Options(scope: scope)
    options.repairs = repairs
    options.journal = journal
    options.shard = shard
    options.threads = 2
    return try StoreVerification(options, other.map { bench.on($0).session } ?? bench.session).run()
  }

  private func name(_ image: SourceImage, _ offset: UInt64) -> BlockName {
    image.bytes.withUnsafeBytes { BlockName(of: UnsafeRawBufferPointer(rebasing: $0[image.range(offset)])) }
  }

  private func path(_ image: SourceImage, _ offset: UInt64) -> String {
    StoreLayout.imageBlock(name(image, offset))
  }

  private func states(_ report: VerificationReport) -> [String: VerifiedBackup.State] {
    Dictionary(uniqueKeysWithValues: report.backups.map { ($0.name, $0.state) })
  }

  private static let second = ImageConfig.blockSize

  @Test(arguments: [VerificationScope.structure, .all]) func aGoodStoreIsGood(_ scope: VerificationScope) throws {
    let report = try verify(scope)
    #expect(states(report) == ["parrot": .good, "robin": .good])
    #expect(report.backups.map(\.url) == ["file:///memory?backingImage=parrot", "file:///memory?backingImage=robin"])
    #expect(report.backups.map(\.blocks) == [3, 3])
    #expect(report.blocks == 4)
    #expect(report.readBlocks == (scope == .all ? 4 : 0))
    #expect(report.damagedBlocks == 0 && report.unreferencedBlocks == 0)
  }

  enum Harm: CaseIterable {
    case truncated, empty, garbage, otherContent, bomb, longObject

    func bytes(_ good: [UInt8]) -> [UInt8] {
      switch self {
      case .truncated: Array(good.prefix(good.count / 2))
      case .empty: []
      case .garbage: (0..<10_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
      case .otherContent:
        packed([UInt8](repeating: 77, count: Int(ImageConfig.blockSize)), .lz4)
      // 64 MiB of zeros in a few hundred KiB.
      case .bomb: packed([UInt8](repeating: 0, count: 64 << 20), .gzip)
      case .longObject: [UInt8](repeating: 7, count: 5 << 20)
      }
    }

    private func packed(_ bytes: [UInt8], _ method: CompressionMethod) -> [UInt8] {
      let codec = BlockCodec(maximumBlock: bytes.count)
      return withExtendedLifetime(codec) { bytes.withUnsafeBytes { Array(codec.pack($0, method)) } }
    }
  }

  @Test(arguments: Harm.allCases) func aBadBlockHitsTheBackupsThatHaveIt(_ harm: Harm) throws {
    // The second block of parrot is the first of robin.
    let shared = path(Self.parrot, Self.second)
    store[shared] = harm.bytes(store[shared]!)
    let structure = try verify(.structure)
    #expect(states(structure) == ["parrot": .good, "robin": .good], "its content is not looked at")
    let report = try verify()
    #expect(states(report) == ["parrot": .damaged, "robin": .damaged])
    #expect(report.backups.map { $0.damage.map(\.offset) } == [[Self.second], [0]])
    #expect(
      report.backups.flatMap(\.damage).allSatisfy { $0.block == name(Self.parrot, Self.second) && !$0.reason.isEmpty })
    #expect(report.damagedBlocks == 1)
    #expect(store[shared] != nil, "without repairs it stays")

    let only = path(Self.robin, Self.second)
    store[shared] = nil
    try bench.backUp(Self.parrot, as: "parrot")
    store[only] = harm.bytes(store[only]!)
    #expect(try states(verify()) == ["parrot": .good, "robin": .damaged])
  }

  @Test func aMissingBlockIsStructure() throws {
    store[path(Self.parrot, 0)] = nil
    let report = try verify(.structure)
    #expect(states(report) == ["parrot": .damaged, "robin": .good])
    #expect(report.backups[0].reason.contains("missing"))
  }

  /// A block may be stored with another method than the config says.
  @Test(arguments: CompressionMethod.allCases) func aBlockOfAnotherMethodIsGood(_ method: CompressionMethod) throws {
    for image in [Self.parrot, Self.robin] {
      for offset in image.blocks {
        let block = Array(image.bytes[image.range(offset)])
        let codec = BlockCodec(maximumBlock: block.count)
        store[path(image, offset)] = withExtendedLifetime(codec) {
          block.withUnsafeBytes { Array(codec.pack($0, method)) }
        }
      }
    }
    #expect(try states(verify()) == ["parrot": .good, "robin": .good])
  }

  /// A config that claims a length that the block does not have is wrong itself: the block stays where it is.
  @Test func aWrongLengthIsTheConfigsFault() throws {
    // The short last block of both, as a whole one of a third.
    let config = ImageConfig(
      name: "liar", size: 2 * Self.second, completeTime: "2026-01-05T10:00:09Z",
      blocks: [BlockEntry(offset: 0, name: name(Self.robin, 2 * Self.second))])
    store[StoreLayout.imageConfig("liar")] = config.encoded()
    let report = try verify(repairs: true)
    #expect(states(report) == ["liar": .damaged, "parrot": .good, "robin": .good])
    #expect(report.backups[0].reason.contains("512 bytes instead of 2097152"))
    #expect(report.asideBlocks == 0)
    #expect(store[path(Self.robin, 2 * Self.second)] != nil)
  }

  /// Nor does one that claims that all blocks are short make them bad.
  @Test func aConfigOfShortBlocksMovesNoWholeOne() throws {
    for image in ["parrot", "robin"] { store[StoreLayout.imageConfig(image)] = nil }
    let config = ImageConfig(
      name: "liar", size: 512, completeTime: "2026-01-05T10:00:09Z",
      blocks: [BlockEntry(offset: 0, name: name(Self.parrot, 0))])
    store[StoreLayout.imageConfig("liar")] = config.encoded()
    let report = try verify(repairs: true)
    #expect(states(report) == ["liar": .damaged])
    #expect(report.asideBlocks == 0 && store[path(Self.parrot, 0)] != nil)
  }

  @Test(arguments: [#"{"Size":"#, "", "rubbish", #"{"Size":"512","CompleteTime":"x","Blocks":[{"Offset":1}]}"#])
  func aBadConfigIsUnreadable(_ text: String) throws {
    store[StoreLayout.imageConfig("parrot")] = Array(text.utf8)
    let report = try verify()
    #expect(states(report) == ["parrot": .unreadable, "robin": .good])
    #expect(report.unreferencedBlocks == 1)
  }

  @Test func aStubIsUnfinished() throws {
    store[StoreLayout.imageConfig("zebra")] = ImageConfig(name: "zebra", size: 512, droverLock: "lock-gone").encoded()
    #expect(try states(verify()) == ["parrot": .good, "robin": .good, "zebra": .unfinished])
  }

  @Test func foreignFilesAreLeftOut() throws {
    store["\(StoreLayout.imageBlocks)/aa/bb/README"] = [1]
    store["\(StoreLayout.imageBlocks)/aa/bb/\(String(repeating: "a", count: 64)).blk"] = [1]
    store["\(StoreLayout.images)/README"] = [1]
    store["backupstore/volumes/zz/zz/nobody/volume.cfg"] = [1]
    let report = try verify()
    #expect(states(report) == ["parrot": .good, "robin": .good])
    #expect(report.unreferencedBlocks == 0)
  }

  // MARK: Several at once

  /// Nobody's answer comes before as many are asked for as there are threads.
  @Test func asManyBlocksAreReadAtOnceAsThereAreThreads() throws {
    struct State {
      var running = 0
      var most = 0
    }
    let state = Monitor(State())
    let waiting = ReactingStore(store) { call in
      guard case .read(let path) = call, path.hasSuffix(".blk") else { return }
      state.change { state in
        state.running += 1
        state.most = max(state.most, state.running)
      }
      _ = try? until("four are read at once") { state.withLock { $0.most == 4 } }
      state.change { $0.running -= 1 }
    }
    var options = StoreVerification.Options(scope: .all)
    options.threads = 4
    let report = try StoreVerification(options, bench.on(waiting).session).run()
    #expect(report.readBlocks == 4 && states(report) == ["parrot": .good, "robin": .good])
    #expect(state.withLock { $0.most } == 4)
  }

  /// Blocks that are hashed side by side are told apart: whole ones and short ones, packed, raw, raw that look packed, bad
  /// and missing ones, in each place.
  @Test func blocksThatAreHashedTogetherAreToldApart() throws {
    let size = 4096
    let pool = StorePool.images
    var contents = (0..<7).map { index in [UInt8](repeating: UInt8(index + 1), count: size) }
    contents.append([0x1f, 0x8b] + contents[0].dropFirst(2))
    contents.append([UInt8](repeating: 9, count: 512))
    let codec = BlockCodec(maximumBlock: size)
    var names: [BlockName] = []
    for (index, content) in contents.enumerated() {
      let name = content.withUnsafeBytes { BlockName(of: $0) }
      names.append(name)
      let method: CompressionMethod = index < 7 ? CompressionMethod.allCases[index % 3] : .none
      store[pool.block(name)] = content.withUnsafeBytes { Array(codec.pack($0, method)) }
    }
    let inspector = BlockInspector(bench.session, pool, longest: size)
    #expect(inspector.group == 4)
    for begin in names.indices {
      // Each one comes first, second, third and fourth.
      let group = (0..<4).map { names[(begin + $0) % names.count] }
      func lengths(_ findings: [BlockInspector.Finding]) -> [Int?] {
        findings.map { if case .good(let length, _) = $0 { length } else { nil } }
      }
      let expected = (0..<4).map { Optional(contents[(begin + $0) % names.count].count) }
      #expect(try lengths(inspector.inspect(group[...])) == expected)
      for victim in group.indices {
        let path = pool.block(group[victim])
        let whole = store[path]
        var wrong: [Int?] = expected
        wrong[victim] = nil
        for harm in [[1, 2, 3], [UInt8](repeating: 200, count: size), [UInt8](repeating: 1, count: 3 * size)] {
          store[path] = harm
          let findings = try inspector.inspect(group[...])
          #expect(lengths(findings) == wrong)
          guard case .bad = findings[victim] else {
            Issue.record("\(findings[victim])")
            continue
          }
        }
        store[path] = nil
        let findings = try inspector.inspect(group[...])
        #expect(lengths(findings) == wrong && findings[victim] == .missing)
        store[path] = whole
      }
    }
  }

  /// Long blocks are not held four at a time.
  @Test func memoryIsBounded() {
    func group(_ longest: Int) -> Int { BlockInspector(bench.session, .images, longest: longest).group }
    #expect([512, 2 << 20, 8 << 20, 16 << 20].map(group) == [4, 4, 2, 1])
  }

  // MARK: Slices

  @Test(arguments: [1.0, 0.5, 1 / 3.0, 0.1, 1 / 7.0, 0.07]) func slicesCoverEverythingOnce(_ share: Double) throws {
    var start: UInt64 = 0
    var runs = 0
    var read: UInt64 = 0
    while true {
      let slice = NameSlice(start: start, share: share)
      read += try verify(.slice(slice)).readBlocks
      runs += 1
      guard let end = slice.end else { break }
      start = end
      try #require(runs < 100)
    }
    #expect(read == 4)
    #expect(runs == Int((1 / share).rounded(.up)))
  }

  @Test(arguments: [1, 2, 3]) func manyShardsAreAsGoodAsOne(_ shard: Int) throws {
    let shared = path(Self.parrot, Self.second)
    store[shared] = [1, 2, 3]
    let report = try verify(shard: shard)
    #expect(states(report) == ["parrot": .damaged, "robin": .damaged])
    #expect(report.readBlocks == 4)
  }

  // MARK: What changes meanwhile

  @Test func aBackupThatIsDeletedMeanwhileIsLeftOut() throws {
    let (bench, robin) = (bench, path(Self.robin, Self.second))
    let once = Mutex(false)
    let deleting = ReactingStore(store) { call in
      guard case .read(robin) = call,
        once.withLock({ was in
          defer { was = true }; return !was
        })
      else { return }
      _ = try? ImageDeletion.delete("robin", bench.session)
    }
    let report = try verify(on: deleting, repairs: true)
    #expect(states(report) == ["parrot": .good])
    #expect(report.damagedBlocks == 0 && report.asideBlocks == 0)
  }

  @Test func aBackupThatIsMadeAnewMeanwhileIsNotVouchedFor() throws {
    let (store, clock, robin) = (store, clock, path(Self.robin, Self.second))
    let config = StoreLayout.imageConfig("parrot")
    let changing = ReactingStore(store) { call in
      guard case .read(robin) = call else { return }
      clock.advance(1)
      store[config] = store[config]
    }
    #expect(try states(verify(on: changing)) == ["parrot": .changed, "robin": .good])
  }

  // MARK: Going on after a stop

  @Test func goesOnWhereItStopped() throws {
    // More than a batch of blocks, one of them bad.
    let (bench, store) = Workbench.memory(clock)
    let blocks: [BlockEntry] = (0..<600).map { index in
      let bytes = withUnsafeBytes(of: index) { Array($0) } + [UInt8](repeating: 3, count: 504)
      let name = bytes.withUnsafeBytes { BlockName(of: $0) }
      store[StoreLayout.imageBlock(name)] = bytes
      let config = ImageConfig(
        name: "i\(index)", size: 512, completeTime: "2026-01-05T10:00:09Z", blocks: [BlockEntry(offset: 0, name: name)])
      store[StoreLayout.imageConfig("i\(index)")] = config.encoded()
      return BlockEntry(offset: 0, name: name)
    }
    let bad = blocks.min { $0.name < $1.name }!.name
    store[StoreLayout.imageBlock(bad)] = [1]
    let folder = TemporaryFolder("job")
    let observer = RecordingObserver()
    let reads = Mutex(0)
    let counting = ReactingStore(store) { call in
      guard case .read(let path) = call, path.hasSuffix(".blk") else { return }
      if reads.withLock({
        $0 += 1; return $0
      }) == 550 {
        observer.cancel()
      }
    }
    var options = StoreVerification.Options(scope: .all)
    options.journal = folder("verify")
    options.repairs = false
    options.threads = 1
    var first = bench.on(counting)
    first.observer = observer
    let stopped = storeError { _ = try StoreVerification(options, first.session).run() }
    #expect(stopped?.code == .cancelled)
    reads.withLock { $0 = 1000 }
    let report = try StoreVerification(options, bench.on(counting).session).run()
    #expect(reads.withLock { $0 } - 1000 < 100, "what was read is not read again")
    #expect(report.readBlocks == 600)
    #expect(report.backups.filter { $0.state == .damaged }.count == 1)
    #expect(report.backups.count == 600)
    #expect(storeError { _ = try bench.store.status(of: "x", deadline: .never) } == nil)
  }

  /// Half a file, or another verification's, is no journal.
  @Test func aBadJournalBeginsAnew() throws {
    let folder = TemporaryFolder("job")
    var progress = VerificationJournal.Progress()
    progress.finished = [.images, .volume("macaw")]
    progress.last = name(Self.parrot, 0)
    progress.findings[.images, default: .init()].bad[name(Self.parrot, 0)] = "a reason\nin lines"
    progress.findings[.volume("macaw"), default: .init()].lengths[name(Self.robin, 0)] = 7
    progress.findings[.images]?.vanished = [name(Self.robin, 0)]
    progress.findings[.images]?.moved = [name(Self.parrot, 0)]
    (progress.readBlocks, progress.readBytes, progress.asideBlocks) = (1, 2, 3)
    progress.repairProblem = "locked by somebody"
    let journal = VerificationJournal(path: folder("verify"), subject: "this")
    #expect(try journal.load() == nil)
    try journal.save(progress)
    progress.findings[.images]?.bad[name(Self.parrot, 0)] = "a reason in lines"
    #expect(try journal.load() == progress)
    #expect(try VerificationJournal(path: folder("verify"), subject: "that").load() == nil)
    let bytes = try Folder.readFile(folder("verify"), limit: 1 << 20)
    for length in 0..<(bytes.count - 1) {
      try Folder.writeDurably(folder("verify"), Array(bytes.prefix(length)))
      #expect(try journal.load() == nil)
    }
  }

  // MARK: Volumes

  @Test(arguments: ["lz4", "gzip", "none"]) func longhornsStoresAreGood(_ method: String) throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore(method, in: folder)
    let report = try StoreVerification(.init(scope: .all), bench.session).run()
    #expect(report.backups.map(\.name) == ["parrot", "backup-delta2", "backup-full1"])
    #expect(report.backups.allSatisfy { $0.state == .good })
    #expect(report.backups[1].pool == .volume("macaw-vol"))
    #expect(report.backups[1].url.hasSuffix("?backup=backup-delta2&volume=macaw-vol"))
    #expect(report.readBlocks == 7 && report.unreferencedBlocks == 0)
  }

  @Test func aVolumesBadBlockHitsItsBackups() throws {
    let folder = TemporaryFolder("store")
    let bench = try fixtureStore("lz4", in: folder)
    let name = try #require(BlockName("91b2b3c1da1413d72f6c2dafb10f4840ba9446b7eeed3ddc65378a14f76250c9"))
    let pool = StorePool.volume("macaw-vol")
    try bench.store.write(pool.block(name), document: [1, 2, 3])
    let report = try StoreVerification(.init(scope: .all), bench.session).run()
    #expect(states(report) == ["parrot": .good, "backup-delta2": .good, "backup-full1": .damaged])
    #expect(report.asideBlocks == 1)
    #expect(try bench.store.document(pool.aside(name), limit: 10) == [1, 2, 3])
    #expect(try bench.store.status(of: pool.block(name), deadline: .never) == nil)
    #expect(try bench.store.names(in: pool.domain.path, deadline: .never) == [])
  }

  @Test(arguments: [("16777216", 16 << 20), ("16Mi", 16 << 20), ("", 2 << 20), ("0", 2 << 20)])
  func blockSizesOfVolumes(_ text: String, _ size: Int) throws {
    let json = #"{"CreatedTime":"x","Parameters":{"a":"b","backup-block-size":"\#(text)"}}"#
    let backup = try Array(json.utf8).withUnsafeBytes { PooledBackup(try VolumeBackupConfig(decoding: $0, path: "x")) }
    #expect(backup.blockSize == UInt64(size))
  }

  @Test(arguments: ["1", "17Mi", "-1", "99999999999Gi", "x"]) func absurdBlockSizes(_ text: String) throws {
    let json = #"{"CreatedTime":"x","Parameters":{"backup-block-size":"\#(text)"}}"#
    let error = storeError {
      _ = try Array(json.utf8).withUnsafeBytes { try VolumeBackupConfig(decoding: $0, path: "x") }
    }
    #expect(error?.code == .badConfig)
  }

  @Test func aVerificationKeepsTheRate() throws {
    let path = path(Self.parrot, 0)
    store[path] = [UInt8](repeating: 7, count: 1 << 20)
    let bytes = store.paths.filter { $0.hasSuffix(".blk") }.reduce(0) { $0 + (store[$1]?.count ?? 0) }
    var options = StoreVerification.Options(scope: .all)
    options.bytesPerSecond = 1000
    options.repairs = false
    let start = clock.bootSeconds()
    let report = try StoreVerification(options, bench.session).run()
    #expect(report.damagedBlocks == 1)
    // The last ones to be read are paid for afterwards; a bad one is read more than once.
    #expect(clock.bootSeconds() - start >= Double(bytes) / 1000 - 1)
  }

  @Test func theRateIsKept() throws {
    let rate = ReadingRate(1000, bench.session)
    let start = clock.bootSeconds()
    for _ in 1...10 { try rate.charge(500) }
    #expect(clock.bootSeconds() - start >= 4.4)
    #expect(clock.bootSeconds() - start < 6)
  }
}
