import CDroverPlugin
import ChildProtocol
import DroverModel
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Runner

@Suite struct ChecksumTests {
  private static let bytes: [UInt8] = {
    var noise = Noise(seed: 31)
    return noise.bytes(50 * 4096 + 512)
  }()

  private static func filter(rewrites: Bool = false) -> FakeStage {
    FakeStage("filter") { open, _ in
      let filter = try ShiftFilter(open)
      filter.rewritesHeader = rewrites
      return filter
    }
  }

  @Test func aWrongChecksumLeavesNothing() {
    var pipeline = Pipeline.copy
    pipeline.expectedChecksum = sha512([1])
    let copy = MemoryCopy(Self.bytes)
    let fault = Harness().run(Harness().order(pipeline), copy.stages()).fault
    #expect(fault?.code == .checksumMismatch)
    #expect(fault?.retry == .never)
    #expect(fault?.message.contains(sha512(Self.bytes)) == true)
    #expect(fault?.message.contains(sha512([1])) == true)
    #expect(copy.disk.committed == nil)
    #expect(copy.disk.state.withLock { $0.discards } == 1)
    #expect(copy.disk.state.withLock { $0.bytes.isEmpty })
  }

  @Test func theRightChecksumInUpperCaseIsFine() {
    var pipeline = Pipeline.copy
    pipeline.expectedChecksum = sha512(Self.bytes).uppercased()
    #expect(Harness().run(Harness().order(pipeline), MemoryCopy(Self.bytes).stages()).result != nil)
  }

  @Test func whatTheSourceClaimsIsChecked() {
    var copy = MemoryCopy(Self.bytes)
    copy.sourceSetup = { $0.sha512 = sha512([2]) }
    let fault = Harness().run(Harness().order(.copy), copy.stages()).fault
    #expect(fault?.code == .checksumMismatch)
    #expect(copy.disk.committed == nil)
  }

  @Test func aClaimIsCheckedAlsoWhereNeitherSideIsAnImage() {
    for (claim, isGood) in [(sha512(Self.bytes), true), (sha512([3]), false)] {
      var copy = MemoryCopy(Self.bytes)
      copy.sourceSetup = { $0.sha512 = claim }
      copy.sinkSetup = { $0.flags = DROVER_DEVICE_WRITABLE }
      let answer = Harness().run(Harness().order(.copy), copy.stages())
      #expect(answer.fault?.code == (isGood ? nil : .checksumMismatch))
      #expect(answer.result?.checksum == (isGood ? claim : nil))
    }
  }

  @Test func anImageThatIsReadIsHashedUnlessItsHashIsKnown() {
    for known in [true, false] {
      var copy = MemoryCopy(Self.bytes)
      copy.sourceSetup = {
        $0.flags = DROVER_DEVICE_IMAGE_FILE
        if known {
          $0.sha512 = sha512(Self.bytes)
          $0.blockHashes = blockHashes(Self.bytes)
        }
      }
      copy.sinkSetup = { $0.flags = DROVER_DEVICE_WRITABLE | (known ? DROVER_DEVICE_CHECKS_HASHES : 0) }
      let answer = Harness().run(Harness().order(.copy), copy.stages())
      #expect(answer.result?.checksum == sha512(Self.bytes))
      #expect(copy.disk.state.withLock { $0.sha512 } == sha512(Self.bytes))
      #expect(isSame(copy.disk.state.withLock { $0.blockHashes }, blockHashes(Self.bytes)))
    }
  }

  @Test func aKnownHashThatIsNotTheExpectedOneStopsBeforeCopying() {
    var pipeline = Pipeline.copy
    pipeline.expectedChecksum = sha512([4])
    var copy = MemoryCopy(Self.bytes)
    copy.sourceSetup = {
      $0.flags = DROVER_DEVICE_IMAGE_FILE
      $0.sha512 = sha512(Self.bytes)
      $0.blockHashes = blockHashes(Self.bytes)
    }
    copy.sinkSetup = { $0.flags = DROVER_DEVICE_WRITABLE | DROVER_DEVICE_CHECKS_HASHES }
    #expect(Harness().run(Harness().order(pipeline), copy.stages()).fault?.code == .checksumMismatch)
    #expect(!copy.script.names.contains("pread"))
  }

  /// Bytes that rotted under a file system that noticed nothing.
  @Test(arguments: [true, false])
  func aClaimIsNotBelievedWhereNobodyComparesTheBlocks(_ hasList: Bool) {
    var sound = Self.bytes
    sound[sound.count / 2] ^= 1
    var copy = MemoryCopy(Self.bytes)
    copy.sourceSetup = { [sound] in
      $0.flags = DROVER_DEVICE_IMAGE_FILE
      $0.sha512 = sha512(sound)
      if hasList { $0.blockHashes = blockHashes(sound) }
    }
    // One that checks can't without a list.
    copy.sinkSetup = { $0.flags = DROVER_DEVICE_WRITABLE | (hasList ? 0 : DROVER_DEVICE_CHECKS_HASHES) }
    let answer = Harness().run(Harness().order(.copy), copy.stages())
    #expect(answer.fault?.code == .checksumMismatch)
    #expect(copy.disk.committed == nil)
  }

  @Test func anExpectationThatNobodyCanCheckIsRefused() {
    var pipeline = Pipeline.copy
    pipeline.expectedChecksum = sha512(Self.bytes)
    var copy = MemoryCopy(Self.bytes)
    copy.sinkSetup = { $0.flags = DROVER_DEVICE_WRITABLE }
    #expect(Harness().run(Harness().order(pipeline), copy.stages()).fault?.code == .notSupported)
  }

  @Test(arguments: [false, true])
  func belowAFilterTheFileIsHashedAsItLies(_ rewrites: Bool) {
    let copy = MemoryCopy(Self.bytes)
    let pipeline = Pipeline(from: [.init("source", .source)], to: [.init("filter", .filter), .init("sink", .sink)])
    let answer = Harness().run(Harness().order(pipeline), copy.stages() + [Self.filter(rewrites: rewrites)])
    let expected = ShiftFilter.expected(Self.bytes, headerByte: rewrites ? 2 : 1)
    #expect(isSame(copy.disk.committed, expected))
    #expect(answer.result?.checksum == sha512(expected))
    #expect(answer.result?.size == Int64(expected.count))
  }

  @Test func overAFilteredSourceTheResultIsHashed() {
    let plain = Array(Self.bytes[..<(20 * 4096)])
    let copy = MemoryCopy(ShiftFilter.expected(plain))
    let pipeline = Pipeline(from: [.init("source", .source), .init("filter", .filter)], to: [.init("sink", .sink)])
    let answer = Harness().run(Harness().order(pipeline), copy.stages() + [Self.filter()])
    #expect(isSame(copy.disk.committed, plain))
    #expect(answer.result?.checksum == sha512(plain))
  }

  @Test func anImageBelowAFilterIsHashedBesideTheCopy() {
    let plain = Array(Self.bytes[..<(20 * 4096)])
    var copy = MemoryCopy(ShiftFilter.expected(plain))
    copy.sourceSetup = { $0.flags = DROVER_DEVICE_IMAGE_FILE }
    copy.sinkSetup = { $0.flags = DROVER_DEVICE_WRITABLE }
    let pipeline = Pipeline(from: [.init("source", .source), .init("filter", .filter)], to: [.init("sink", .sink)])
    let answer = Harness().run(Harness().order(pipeline), copy.stages() + [Self.filter()])
    #expect(isSame(copy.disk.committed, plain))
    #expect(answer.result?.checksum == sha512(copy.bytes))
  }

  @Test func aFailedCopyDoesNotGoOnHashing() {
    let source = FakeStage("source") { _, _ in
      let device = Endless()
      device.size = 1 << 40
      device.flags = DROVER_DEVICE_IMAGE_FILE
      return device
    }
    let sink = FakeStage("sink") { _, _ in
      let device = FakeDevice()
      device.flags = DROVER_DEVICE_WRITABLE
      device.script = Script { _, call in if call == "pwrite" { throw FakeFailure(code: "no-space") } }
      return device
    }
    let pipeline = Pipeline(from: [.init("source", .source), .init("filter", .filter)], to: [.init("sink", .sink)])
    let start = BootClock.seconds()
    #expect(Harness().run(Harness().order(pipeline), [source, sink, Self.filter()]).fault?.code == .noSpace)
    #expect(BootClock.seconds() - start < 30)
  }

  private final class Endless: FakeDevice, @unchecked Sendable {
    // Sendable: holds nothing.
    override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
      Int64(buffer.count)
    }
  }

  @Test func blockHashesOfPiecesAndZerosEqualThoseOfTheWhole() throws {
    var noise = Noise(seed: 32)
    let block = 2 << 20
    let bytes = noise.bytes(block / 2) + [UInt8](repeating: 0, count: 3 * block) + noise.bytes(block + 777)
    var hasher = ImageHasher()
    bytes[..<1000].withUnsafeBytes { hasher.add($0) }
    bytes[1000..<(block / 2)].withUnsafeBytes { hasher.add($0) }
    try hasher.addZeros(UInt64(3 * block), check: {})
    bytes[(block / 2 + 3 * block)...].withUnsafeBytes { hasher.add($0) }
    let checksum = hasher.finish()
    #expect(checksum.sha512 == sha512(bytes))
    #expect(isSame(checksum.blockHashes, blockHashes(bytes)))
  }

  @Test func zerosAreNotHashedAgainForEachBlock() {
    var list = BlockHashList()
    list.addZeros(1 << 40)
    let hashes = list.finish()
    #expect(hashes.count == (1 << 40) / (2 << 20) * 32)
    #expect(Array(hashes.suffix(32)) == blockHashes([UInt8](repeating: 0, count: 2 << 20)))
  }
}
