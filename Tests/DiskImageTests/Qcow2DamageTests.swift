import DiskImage
import LinuxSystem
import TestKit
import Testing

@testable import struct DiskImage.RecentValues

/// A qcow2 file of 64 KiB made by hand, in clusters of 512 bytes: header, reference counts, L1 table, two L2 tables, two
/// clusters of data, and a compressed one. With subclusters: the same in clusters of 16 KiB.
struct HandMadeQcow2 {
  static let clusterBits: UInt64 = 9
  var bytes: [UInt8]
  let cluster: Int

  init(version: UInt64 = 3, subclusters: Bool = false) {
    let bits: UInt64 = subclusters ? 14 : Self.clusterBits
    cluster = 1 << bits
    bytes = [UInt8](repeating: 0, count: 8 * cluster)
    let entry = subclusters ? 16 : 8
    put(0x5146_49FB, 4, &bytes, at: 0)
    put(version, 4, &bytes, at: 4)
    put(bits, 4, &bytes, at: 20)
    let perTable = UInt64(cluster / entry) << bits
    put(2 * perTable, 8, &bytes, at: 24)
    put(2, 4, &bytes, at: 36)
    put(UInt64(2 * cluster), 8, &bytes, at: 40)
    put(UInt64(cluster), 8, &bytes, at: 48)
    put(1, 4, &bytes, at: 56)
    if version == 3 {
      put(subclusters ? 1 << 4 : 0, 8, &bytes, at: 72)
      put(4, 4, &bytes, at: 96)
      put(112, 4, &bytes, at: 100)
    }
    put(1 << 63 | UInt64(3 * cluster), 8, &bytes, at: 2 * cluster)
    put(1 << 63 | UInt64(4 * cluster), 8, &bytes, at: 2 * cluster + 8)
    put(1 << 63 | UInt64(5 * cluster), 8, &bytes, at: 3 * cluster)
    put(1 << 63 | UInt64(6 * cluster), 8, &bytes, at: 4 * cluster)
    if subclusters {
      put(0x0000_00FF, 8, &bytes, at: 3 * cluster + 8)
      put(0xFFFF_FFFF, 8, &bytes, at: 4 * cluster + 8)
    } else {
      put(1 << 62 | UInt64(7 * cluster), 8, &bytes, at: 4 * cluster + 8)
    }
    for index in 0..<cluster {
      bytes[5 * cluster + index] = 0xAA
      bytes[6 * cluster + index] = 0xBB
    }
    if !subclusters { bytes.replaceSubrange((7 * cluster)..<(7 * cluster + storedCluster.count), with: storedCluster) }
  }

  func l1(_ index: Int) -> Int { 2 * cluster + 8 * index }
  /// Of the first table; entries of 8 bytes.
  func l2(_ index: Int) -> Int { 3 * cluster + 8 * index }

  /// Deflate of 512 times 0xCC.
  private var storedCluster: [UInt8] { [0x3B, 0x73, 0x66, 0x14, 0x8C, 0x64, 0x00, 0x00] }
}

/// Opens it and reads everything, by extents too.
func useAll(_ bytes: [UInt8]) throws -> [UInt8] {
  let folder = TemporaryFolder("damage")
  let file = try OpenFile.open(folder("image"), .createNew(permissions: 0o600))
  try bytes.withUnsafeBytes { try file.write($0, at: 0) }
  let image = try Qcow2Image(file)
  _ = try image.dataSize()
  return try read(image, Int(min(image.size, 1 << 20)), at: 0)
}

/// A change to a good image, and the words in which it is refused.
struct Qcow2Damage: CustomTestStringConvertible, Sendable {
  var testDescription: String
  var version: UInt64 = 3
  var subclusters = false
  var change: @Sendable (inout HandMadeQcow2) -> Void

  init(
    _ words: String, version: UInt64 = 3, subclusters: Bool = false,
    _ change: @escaping @Sendable (inout HandMadeQcow2) -> Void
  ) {
    testDescription = words
    self.version = version
    self.subclusters = subclusters
    self.change = change
  }

  static let all = [
    Qcow2Damage("version 4 is not known") { put(4, 4, &$0.bytes, at: 4) },
    Qcow2Damage("2^30 bytes") { put(30, 4, &$0.bytes, at: 20) },
    Qcow2Damage("its header is cut off after 80 bytes") { $0.bytes.removeLast($0.bytes.count - 80) },
    Qcow2Damage("a disk of 9223372036854775808 bytes") { put(1 << 63, 8, &$0.bytes, at: 24) },
    Qcow2Damage("reaches only to 65536") { put(1 << 40, 8, &$0.bytes, at: 24) },
    Qcow2Damage("its L1 table has 4294967295 entries") { put(0xFFFF_FFFF, 4, &$0.bytes, at: 36) },
    Qcow2Damage("its L1 table at 1000 does not begin at a cluster") { put(1000, 8, &$0.bytes, at: 40) },
    Qcow2Damage("its L1 table lies over the header") { put(0, 8, &$0.bytes, at: 40) },
    Qcow2Damage("its L1 table of 2 entries at 1048576 ends beyond") { put(1 << 20, 8, &$0.bytes, at: 40) },
    Qcow2Damage("ends beyond the file") { put(.max - 511, 8, &$0.bytes, at: 40) },
    Qcow2Damage("its L1 table of 2097152 entries") {
      put(1 << 36, 8, &$0.bytes, at: 24)
      put(1 << 22, 4, &$0.bytes, at: 36)
    },
    Qcow2Damage("backing file ../secret?") {
      put(200, 8, &$0.bytes, at: 8)
      put(10, 4, &$0.bytes, at: 16)
      $0.bytes.replaceSubrange(200..<210, with: Array("../secret\u{1B}".utf8))
    },
    Qcow2Damage("differs from its backing file") { put(.max, 8, &$0.bytes, at: 8) },
    Qcow2Damage("encrypted by QEMU (AES)") { put(1, 4, &$0.bytes, at: 32) },
    Qcow2Damage("encrypted by QEMU (LUKS)") { put(2, 4, &$0.bytes, at: 32) },
    Qcow2Damage("encryption method 9 is not known") { put(9, 4, &$0.bytes, at: 32) },
    Qcow2Damage("marked as corrupt") { put(2, 8, &$0.bytes, at: 72) },
    Qcow2Damage("its data lies in another file") { put(4, 8, &$0.bytes, at: 72) },
    Qcow2Damage("incompatible feature bit 5") { put(1 << 5, 8, &$0.bytes, at: 72) },
    Qcow2Damage("incompatible feature bit 63 (flight)") {
      put(1 << 63, 8, &$0.bytes, at: 72)
      put(0x6803_F857, 4, &$0.bytes, at: 112)
      put(48, 4, &$0.bytes, at: 116)
      put(63, 2, &$0.bytes, at: 120)
      $0.bytes.replaceSubrange(122..<128, with: Array("flight".utf8))
    },
    Qcow2Damage("too small to have 32 of them") { put(1 << 4, 8, &$0.bytes, at: 72) },
    Qcow2Damage("compression type 0 contradicts") { put(8, 8, &$0.bytes, at: 72) },
    Qcow2Damage("compression type 1 contradicts") { put(1, 1, &$0.bytes, at: 104) },
    Qcow2Damage("compression type 2 is not known") {
      put(8, 8, &$0.bytes, at: 72)
      put(2, 1, &$0.bytes, at: 104)
    },
    Qcow2Damage("extension of type 00abcdef does not end") {
      put(0xABCDEF, 4, &$0.bytes, at: 112)
      put(0xFFFF_FFFF, 4, &$0.bytes, at: 116)
    },
    Qcow2Damage("L2 table at 1024, which lies over the L1 table") { put(1024, 8, &$0.bytes, at: $0.l1(0)) },
    Qcow2Damage("entry 1 of the L1 table points to an L2 table at 1073741824, which ends beyond") {
      put(1 << 30, 8, &$0.bytes, at: $0.l1(1))
    },
    Qcow2Damage("L2 table at 72057594037927424, which ends beyond") { put(.max, 8, &$0.bytes, at: $0.l1(1)) },
    Qcow2Damage("two entries of the L1 table point to the same L2 table at 1536") {
      put(1536, 8, &$0.bytes, at: $0.l1(1))
    },
    Qcow2Damage("should lie at 1073741824 of the file") { put(1 << 30, 8, &$0.bytes, at: $0.l2(3)) },
    Qcow2Damage("512 bytes at 1536 of the disk should lie at 3584 of the file, which has only 3686 bytes") {
      put(3584, 8, &$0.bytes, at: $0.l2(3))
      $0.bytes.removeLast($0.bytes.count - 3686)
    },
    Qcow2Damage("is a zero cluster, which version 2 has not", version: 2) { put(1, 8, &$0.bytes, at: $0.l2(3)) },
    Qcow2Damage("can't lie at 1073741824 of a file") { put(1 << 62 | 1 << 30, 8, &$0.bytes, at: $0.l2(3)) },
    Qcow2Damage("can't lie at 0 of a file") { put(1 << 62, 8, &$0.bytes, at: $0.l2(3)) },
    Qcow2Damage("the compressed cluster at 2560 can't be unpacked (deflate") {
      put(1 << 62 | 2560, 8, &$0.bytes, at: $0.l2(3))
    },
    Qcow2Damage("can't be unpacked (zstd") {
      put(8, 8, &$0.bytes, at: 72)
      put(1, 1, &$0.bytes, at: 104)
    },
    Qcow2Damage("both zero and data", subclusters: true) { put(1 << 32 | 1, 8, &$0.bytes, at: $0.l2(3)) },
    Qcow2Damage("subclusters with data, but no cluster", subclusters: true) { put(1, 8, &$0.bytes, at: $0.l2(3)) },
    Qcow2Damage("points to 49664, which is not where a cluster begins", subclusters: true) {
      put(49664, 8, &$0.bytes, at: $0.l2(2))
    },
  ]
}

@Suite struct Qcow2DamageTests {
  @Test(arguments: [2, 3] as [UInt64]) func theUndamagedOneIsRead(version: UInt64) throws {
    let content = try useAll(HandMadeQcow2(version: version).bytes)
    let cluster = { (byte: UInt8) in [UInt8](repeating: byte, count: 512) }
    #expect(content.count == 65536)
    #expect(Array(content[..<1024]) == cluster(0xAA) + cluster(0))
    #expect(Array(content[32768..<33792]) == cluster(0xBB) + cluster(0xCC))
  }

  @Test func theUndamagedOneWithSubclustersIsRead() throws {
    let content = try useAll(HandMadeQcow2(subclusters: true).bytes)
    #expect(content[..<4096].allSatisfy { $0 == 0xAA })
    #expect(isZero(content[4096..<16384]))
  }

  @Test(arguments: Qcow2Damage.all) func damageIsRefusedInWords(_ damage: Qcow2Damage) throws {
    var image = HandMadeQcow2(version: damage.version, subclusters: damage.subclusters)
    damage.change(&image)
    let error = #expect(throws: Qcow2Error.self) { _ = try useAll(image.bytes) }
    #expect(error?.description.contains(damage.testDescription) == true, "\(String(describing: error))")
    #expect(error?.description.contains("/image can't be read as qcow2: ") == true)
  }

  /// The dirty bit, features that a reader may ignore, and what is not the guest's.
  @Test func whatDoesNotMatterIsNotLookedAt() throws {
    let good = HandMadeQcow2()
    for (value, length, at) in [
      (1, 8, 72), (.max, 8, 80), (.max, 8, 88), (0xFFFF_FFFF, 4, 96), (0xFFFF_FFFF, 4, 60), (.max, 8, 64),
    ] as [(UInt64, Int, Int)] {
      var changed = good
      put(value, length, &changed.bytes, at: at)
      #expect(same(try useAll(changed.bytes), try useAll(good.bytes)), "\(value) at \(at)")
    }
  }

  /// The disk's size and the entries of the L1 table take neither time nor memory where there are no tables.
  @Test func anEnormousEmptyDiskIsReadAtOnce() throws {
    let folder = TemporaryFolder("enormous")
    let file = try OpenFile.open(folder("image"), .createNew(permissions: 0o600))
    var header = qcow2Header(virtualSize: 1 << 60)
    put(21, 4, &header, at: 20)
    put(1 << 22, 4, &header, at: 36)
    put(4 << 21, 8, &header, at: 40)
    put(1 << 21, 8, &header, at: 48)
    try header.withUnsafeBytes { try file.write($0, at: 0) }
    try file.truncate(to: 64 << 20)
    let image = try Qcow2Image(file)
    #expect(image.size == 1 << 60)
    #expect(try image.dataSize() == 0)
    #expect(try image.extents(offset: 5, length: (1 << 60) - 5).count == 1)
    #expect(try read(image, 4096, at: (1 << 60) - 4096).allSatisfy { $0 == 0 })
  }

  /// Every byte of the metadata, and random ones: nothing crashes, nothing but `Qcow2Error` comes, and extents and bytes
  /// agree.
  @Test(arguments: [HandMadeQcow2(), HandMadeQcow2(version: 2), HandMadeQcow2(subclusters: true)].map(\.bytes))
  func noDamageCrashes(_ good: [UInt8]) throws {
    let folder = TemporaryFolder("noise")
    let file = try OpenFile.open(folder("image"), .createNew(permissions: 0o600))
    var noise = Noise(seed: 3)
    let rounds = good.count > 8192 ? 600 : 3000
    var readable = 0
    for round in 0..<rounds {
      var bytes = good
      for _ in 0...(noise.next() % 5) {
        let at = Int(noise.next() % 3 == 0 ? noise.next() % UInt64(bytes.count) : noise.next() % 128)
        let table = [2, 3, 4].randomElement(using: &noise)! * (good.count / 8) + Int(noise.next() % 32)
        bytes[round % 2 == 0 ? at : table] = UInt8(truncatingIfNeeded: noise.next() % 4 == 0 ? 0xFF : noise.next())
      }
      if round % 7 == 0 { bytes.removeLast(Int(noise.next() % UInt64(bytes.count))) }
      try file.truncate(to: 0)
      try bytes.withUnsafeBytes { try file.write($0, at: 0) }
      do {
        let image = try Qcow2Image(file)
        let begin = image.size > 1 << 20 ? noise.next() % (image.size - 1 << 20) : 0
        let length = min(image.size, 1 << 20)
        let all = try read(image, Int(length), at: begin)
        var at = begin
        for run in try image.extents(offset: begin, length: length) {
          guard run.offset == at, run.length > 0 else { throw Unexpected(description: "a gap at \(at)") }
          at += run.length
          if !run.isData { #expect(isZero(all[Int(run.offset - begin)..<Int(at - begin)])) }
        }
        #expect(at == begin + length)
        readable += 1
      } catch is Qcow2Error {}
    }
    #expect(readable > rounds / 20)
  }
}

@Test func recentValuesKeepTheOnesThatAreAskedFor() {
  var recent = RecentValues<Int>(capacity: 3)
  for key in 0..<3 as Range<UInt64> { recent.keep(Int(key) * 10, of: key) }
  #expect(recent.value(of: 0) == 0)
  recent.keep(30, of: 3)
  #expect(recent.value(of: 1) == nil)
  #expect(recent.value(of: 0) == 0 && recent.value(of: 2) == 20 && recent.value(of: 3) == 30)
}
