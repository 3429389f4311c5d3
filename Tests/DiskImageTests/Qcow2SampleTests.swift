import DiskImage
import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

/// An image that QEMU's tools make.
struct Qcow2Sample: CustomTestStringConvertible, Sendable {
  var testDescription: String
  /// Is given the program, the raw disk to take, and where to put the image.
  var make: @Sendable (_ raw: String, _ image: String) throws -> Void

  /// A copy of the raw disk.
  static func copied(_ options: String, compressed: Bool = false) -> Qcow2Sample {
    Qcow2Sample(testDescription: "\(compressed ? "compressed, " : "")\(options)") { raw, image in
      let how = ["convert", "-O", "qcow2", "-o", options] + (compressed ? ["-c"] : [])
      try run(qemuImage!, how + [raw, image])
    }
  }

  /// An empty disk that is then written to.
  static func written(_ options: String, size: String = "5M", _ commands: String..., then: [String] = []) -> Qcow2Sample
  {
    Qcow2Sample(testDescription: "written, \(options) \(commands.joined(separator: "; "))") { _, image in
      try run(qemuImage!, ["create", "-q", "-f", "qcow2", "-o", options, image, size])
      if !commands.isEmpty {
        _ = try output(qemuInputOutput!, ["-f", "qcow2"] + commands.flatMap { ["-c", $0] } + [image])
      }
      if !then.isEmpty { try run(qemuImage!, then.map { $0.replacing("IMAGE", with: image) }) }
    }
  }

  static let all: [Qcow2Sample] =
    [
      "compat=0.10", "compat=0.10,cluster_size=512", "compat=1.1,cluster_size=512", "cluster_size=1k",
      "cluster_size=4k", "cluster_size=64k", "cluster_size=2M", "lazy_refcounts=on", "refcount_bits=1",
      "refcount_bits=64", "preallocation=metadata", "preallocation=falloc", "preallocation=full", "extended_l2=on",
      "extended_l2=on,cluster_size=16k", "extended_l2=on,cluster_size=2M",
      "extended_l2=on,preallocation=metadata,cluster_size=128k",
    ].map { copied($0) }
    + [
      "compat=0.10", "compat=0.10,cluster_size=512", "cluster_size=512", "cluster_size=4k", "cluster_size=64k",
      "cluster_size=2M", "compression_type=zstd", "compression_type=zstd,cluster_size=512",
      "compression_type=zstd,cluster_size=2M", "extended_l2=on", "extended_l2=on,compression_type=zstd",
    ].map { copied($0, compressed: true) }
    + [
      written("cluster_size=64k", size: "0"),
      written("cluster_size=64k", size: "512"),
      written("cluster_size=64k", size: "1000000", "write -P 5 999424 512"),
      written("preallocation=metadata"),
      written("extended_l2=on", "write -P 1 2k 2k", "write -P 2 70k 100k", "write -z 80k 8k", "discard 100k 30k"),
      written("cluster_size=64k", "write -P 1 0 300k", "write -z 64k 64k", "discard 130k 128k", "write -z 3M 1M"),
      written("compat=0.10", "write -P 1 0 300k", "write -z 64k 64k", "discard 130k 128k"),
      written("cluster_size=64k", "write -c -P 9 64k 64k", "write -c -P 3 4M 64k", "write -P 1 128k 10k"),
      written("lazy_refcounts=on", "write -P 7 1M 1M"),
      written("cluster_size=4k", "write -P 7 1M 1M", then: ["resize", "-q", "IMAGE", "8M"]),
      written("cluster_size=4k", "write -P 7 1M 1M", then: ["resize", "-q", "--shrink", "IMAGE", "1500k"]),
      written("cluster_size=64k", "write -P 7 1M 1M", then: ["snapshot", "-c", "before", "IMAGE"]),
      Qcow2Sample(testDescription: "written after a snapshot, which is applied again") { _, image in
        try run(qemuImage!, ["create", "-q", "-f", "qcow2", image, "5M"])
        _ = try output(qemuInputOutput!, ["-f", "qcow2", "-c", "write -P 1 0 2M", image])
        for name in ["one", "two"] {
          try run(qemuImage!, ["snapshot", "-c", name, image])
          _ = try output(qemuInputOutput!, ["-f", "qcow2", "-c", "write -P 2 1M 256k", "-c", "discard 0 64k", image])
        }
        try run(qemuImage!, ["snapshot", "-a", "two", image])
      },
    ]
}

/// A disk with data and text here and there, whose length is no multiple of a cluster.
func makeRawDisk(_ path: String, length: Int = (5 << 20) + 512) throws {
  var noise = Noise(seed: 23)
  let file = try OpenFile.open(path, .createNew(permissions: 0o600))
  try file.truncate(to: UInt64(length))
  let text = Array(String(repeating: "the parrot repeats itself\n", count: 4000).utf8)
  for round in 0..<30 {
    let piece = round % 2 == 0 ? noise.bytes(1 + Int(noise.next() % 60000)) : text
    let at = noise.next() % UInt64(length - piece.count)
    try piece.withUnsafeBytes { try file.write($0, at: at) }
  }
  try noise.bytes(300).withUnsafeBytes { try file.write($0, at: UInt64(length - 300)) }
  try file.sync()
}

func read(_ image: Qcow2Image, _ length: Int, at offset: UInt64) throws -> [UInt8] {
  var bytes = [UInt8](repeating: 0xEE, count: length)
  try bytes.withUnsafeMutableBytes { try image.read(into: $0, at: offset) }
  return bytes
}

/// All of it, with the data of the extents read and the rest taken for zero.
func readByExtents(_ image: Qcow2Image, limit: Int) throws -> [UInt8] {
  var all = [UInt8](repeating: 0, count: Int(image.size))
  var at: UInt64 = 0
  while at < image.size {
    for run in try image.extents(offset: at, length: image.size - at, limit: limit) {
      guard run.offset == at, run.length > 0 else { throw Unexpected(description: "a gap at \(at)") }
      if run.isData {
        try all.withUnsafeMutableBytes {
          try image.read(into: UnsafeMutableRawBufferPointer(rebasing: $0[Int(at)..<Int(at + run.length)]), at: at)
        }
      }
      at += run.length
    }
  }
  return all
}

@Suite(.enabled(if: qemuImage != nil, "qemu-img is not installed")) struct Qcow2SampleTests {
  let folder = TemporaryFolder("qcow2")

  func make(_ sample: Qcow2Sample) throws -> (image: Qcow2Image, content: [UInt8]) {
    try makeRawDisk(folder("raw"))
    try sample.make(folder("raw"), folder("image"))
    try run(qemuImage!, ["convert", "-O", "raw", folder("image"), folder("truth")])
    let image = try Qcow2Image(OpenFile.open(folder("image"), .read))
    return (image, [UInt8](try Data(contentsOf: URL(filePath: folder("truth")))))
  }

  @Test(arguments: Qcow2Sample.all) func readsWhatQEMUReads(_ sample: Qcow2Sample) throws {
    let (image, content) = try make(sample)
    #expect(image.size == UInt64(content.count))
    #expect(try ImageDescription.of(image.file) == ImageDescription(format: .qcow2, virtualSize: image.size))
    #expect(same(try read(image, content.count, at: 0), content))
    #expect(same(try readByExtents(image, limit: 3), content))
    var noise = Noise(seed: 5)
    for _ in 0..<(content.isEmpty ? 0 : 100) {
      let at = Int(noise.next() % UInt64(content.count))
      let length = min(Int(noise.next() % 100_000), content.count - at)
      let isSame = same(try read(image, length, at: UInt64(at)), content[at..<(at + length)])
      #expect(isSame, "\(length) bytes at \(at)")
    }
  }

  @Test(arguments: Qcow2Sample.all) func extentsAreWhatQEMUSays(_ sample: Qcow2Sample) throws {
    let (image, _) = try make(sample)
    struct Entry: Decodable {
      var start: UInt64
      var length: UInt64
      var zero: Bool
    }
    let map = try JSONDecoder().decode(
      [Entry].self, from: output(qemuImage!, ["map", "--output=json", folder("image")]))
    var expected: [FileExtent] = []
    for entry in map where entry.length > 0 {
      if let last = expected.last, last.isData == !entry.zero {
        expected[expected.count - 1].length += entry.length
      } else {
        expected.append(FileExtent(offset: entry.start, length: entry.length, isData: !entry.zero))
      }
    }
    #expect(try image.extents(offset: 0, length: image.size) == expected)
    #expect(try image.dataSize() == expected.reduce(0) { $0 + ($1.isData ? $1.length : 0) })
  }

  @Test(arguments: [
    Qcow2Sample.copied("cluster_size=64k"), .copied("cluster_size=512", compressed: true),
    .copied("cluster_size=2M,compression_type=zstd", compressed: true), .copied("extended_l2=on"),
  ]) func manyThreadsReadAtOnce(_ sample: Qcow2Sample) throws {
    let (image, content) = try make(sample)
    let wrong = Mutex<[String]>([])
    DispatchQueue.concurrentPerform(iterations: 8) { thread in
      var noise = Noise(seed: UInt64(thread))
      for _ in 0..<60 {
        let at = Int(noise.next() % UInt64(content.count))
        let length = min(1 + Int(noise.next() % 200_000), content.count - at)
        do {
          let found = try read(image, length, at: UInt64(at))
          if !same(found, content[at..<(at + length)]) { wrong.withLock { $0.append("\(length) bytes at \(at)") } }
        } catch {
          wrong.withLock { $0.append("\(error)") }
        }
      }
    }
    #expect(wrong.withLock { $0 } == [])
  }

  /// A file that was cut anywhere gives what the whole one gives, or an error, and never other bytes.
  @Test(arguments: [
    Qcow2Sample.copied("cluster_size=64k"), .copied("cluster_size=4k", compressed: true),
    .copied("compression_type=zstd", compressed: true), .copied("extended_l2=on"),
  ]) func whatWasCutOffIsNeverTakenForZeros(_ sample: Qcow2Sample) throws {
    let (_, content) = try make(sample)
    let file = try OpenFile.open(folder("image"), .readWrite)
    var length = file.bytesOnDisk
    var refused = 0
    while length > 0 {
      length -= min(length, length / 9 + 1)
      try file.truncate(to: length)
      do {
        let image = try Qcow2Image(file)
        #expect(same(try read(image, content.count, at: 0), content), "cut after \(length) bytes")
      } catch let error as Qcow2Error {
        refused += 1
        #expect(error.description.contains(file.path))
      }
    }
    #expect(refused > 10)
  }

  @Test func refusesWhatNeedsMoreThanTheFile() throws {
    func problem(_ name: String) throws -> Qcow2Error? {
      #expect(throws: Qcow2Error.self) { try Qcow2Image(OpenFile.open(folder(name), .read)) }
    }
    let create = ["create", "-q", "-f", "qcow2"]
    try run(qemuImage!, create + [folder("base"), "1M"])
    try run(qemuImage!, create + ["-b", folder("base"), "-F", "qcow2", folder("overlay")])
    let overlay = try problem("overlay")
    #expect(overlay?.problem.contains("backing file \(folder("base"))") == true)
    #expect(overlay?.hint.contains("qemu-img convert") == true)
    try run(qemuImage!, create + ["-o", "data_file=\(folder("data"))", folder("outside"), "1M"])
    #expect(try problem("outside")?.problem.contains("data lies in another file") == true)
    // qemu-img makes none on a busy machine, where it can't time its key derivation: the header's crypt_method says it.
    try run(qemuImage!, create + [folder("luks"), "1M"])
    try [UInt8]([0, 0, 0, 2]).withUnsafeBytes { try OpenFile.open(folder("luks"), .readWrite).write($0, at: 32) }
    #expect(try problem("luks")?.problem == "it is encrypted by QEMU (LUKS)")
  }
}

extension OpenFile {
  fileprivate var bytesOnDisk: UInt64 { (try? size()) ?? 0 }
}
