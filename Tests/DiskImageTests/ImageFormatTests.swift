import DiskImage
import LinuxSystem
import TestKit
import Testing

/// Changes a good header so that it can't be true.
struct Damage: CustomTestStringConvertible, Sendable {
  var testDescription: String
  var apply: @Sendable (inout [UInt8]) -> Void

  init(_ name: String, _ apply: @escaping @Sendable (inout [UInt8]) -> Void) {
    testDescription = name
    self.apply = apply
  }

  static let all = [
    Damage("version 1") { put(1, 4, &$0, at: 4) },
    Damage("version 4") { put(4, 4, &$0, at: 4) },
    Damage("clusters of 256 bytes") { put(8, 4, &$0, at: 20) },
    Damage("clusters of 4 MiB") { put(22, 4, &$0, at: 20) },
    Damage("cluster bits that would overflow a shift") { put(0xFFFF_FFFF, 4, &$0, at: 20) },
    Damage("a size that the tables can't reach") { put(1 << 40, 8, &$0, at: 24) },
    Damage("a size beyond 63 bits") { put(.max, 8, &$0, at: 24) },
    Damage("unknown encryption") { put(3, 4, &$0, at: 32) },
    Damage("too many table entries") { put(0xFFFF_FFFF, 4, &$0, at: 36) },
    Damage("a table that begins inside a cluster") { put(65537, 8, &$0, at: 40) },
    Damage("no reference counts") { put(0, 8, &$0, at: 48) },
    Damage("a header shorter than its fields") { put(72, 4, &$0, at: 100) },
    Damage("a header longer than a cluster") { put(1 << 20, 4, &$0, at: 100) },
    Damage("cut inside the header") { $0.removeLast($0.count - 103) },
    Damage("cut after the magic") { $0.removeLast($0.count - 4) },
    Damage("another magic") { $0[3] = 0xFA },
  ]
}

func put(_ value: UInt64, _ length: Int, _ bytes: inout [UInt8], at offset: Int) {
  for index in 0..<length { bytes[offset + index] = UInt8(truncatingIfNeeded: value >> (8 * (length - 1 - index))) }
}

/// A header of 1 GiB in clusters of 64 KiB.
func qcow2Header(version: UInt64 = 3, virtualSize: UInt64 = 1 << 30, backingFile: UInt64 = 0) -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: 512)
  put(0x5146_49FB, 4, &bytes, at: 0)
  put(version, 4, &bytes, at: 4)
  put(backingFile, 8, &bytes, at: 8)
  put(16, 4, &bytes, at: 20)
  put(virtualSize, 8, &bytes, at: 24)
  put(2, 4, &bytes, at: 36)
  put(3 << 16, 8, &bytes, at: 40)
  put(1 << 16, 8, &bytes, at: 48)
  put(1, 4, &bytes, at: 56)
  put(version == 3 ? 104 : 0, 4, &bytes, at: 100)
  return bytes
}

func describe(_ bytes: [UInt8]) throws -> ImageDescription {
  let folder = TemporaryFolder("format")
  let file = try OpenFile.open(folder("image"), .createNew(permissions: 0o600))
  try bytes.withUnsafeBytes { try file.write($0, at: 0) }
  return try ImageDescription.of(file)
}

@Test(arguments: [2, 3] as [UInt64])
func qcow2IsKnownByItsHeader(version: UInt64) throws {
  #expect(try describe(qcow2Header(version: version)) == ImageDescription(format: .qcow2, virtualSize: 1 << 30))
  let chained = try describe(qcow2Header(version: version, backingFile: 512))
  #expect(chained.hasBackingFile)
}

@Test func qcow2OfVersion2EndsAfter72Bytes() throws {
  #expect(try describe(Array(qcow2Header(version: 2)[..<72])).format == .qcow2)
  #expect(try describe(Array(qcow2Header(version: 2)[..<71])).format == .raw)
}

@Test(arguments: Damage.all)
func aHeaderThatCantBeTrueIsRaw(damage: Damage) throws {
  var bytes = qcow2Header()
  damage.apply(&bytes)
  #expect(try describe(bytes) == ImageDescription(format: .raw, virtualSize: UInt64(bytes.count)))
}

@Test func anythingElseIsRaw() throws {
  #expect(try describe([]) == ImageDescription(format: .raw, virtualSize: 0))
  var noise = Noise(seed: 7)
  #expect(try describe(noise.bytes(4096)) == ImageDescription(format: .raw, virtualSize: 4096))
}

@Test(.enabled(if: qemuImage != nil, "qemu-img is not installed"))
func whatQEMUMakesIsKnown() throws {
  let folder = TemporaryFolder("qemu")
  for options in ["compat=0.10", "compat=1.1", "compat=1.1,cluster_size=2M", "compat=1.1,cluster_size=512"] {
    try run(try #require(qemuImage), ["create", "-q", "-f", "qcow2", "-o", options, folder("image"), "10G"])
    let description = try ImageDescription.of(OpenFile.open(folder("image"), .read))
    #expect(description == ImageDescription(format: .qcow2, virtualSize: 10 << 30), "\(options)")
  }
}

@Test func noHeaderMakesItStop() throws {
  var noise = Noise(seed: 11)
  for _ in 0..<2000 {
    var bytes = qcow2Header(version: noise.next() % 5)
    for _ in 0..<(1 + noise.next() % 6) { bytes[Int(noise.next() % 104)] = UInt8(truncatingIfNeeded: noise.next()) }
    let description = try describe(bytes)
    #expect(description.virtualSize <= UInt64(Int64.max))
  }
}
