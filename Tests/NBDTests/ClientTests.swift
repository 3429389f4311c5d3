import Foundation
import NBD
import Synchronization
import TestKit
import Testing

/// Programs of others as clients.
@Suite struct ClientTests {
  @Test func libnbdSeesWhatThereIs() throws {
    let served = try Served(MemoryDevice(), name: "disk")
    let info = try served.run("nbdinfo", "--json", served.uri)
    #expect(info.status == 0, "\(info.output)")
    for text in [
      "\"export-size\": \(served.device.size)", "\"is_read_only\": true", "\"can_multi_conn\": true",
      "\"can_df\": true", "\"base:allocation\"", "\"structured\": true", "\"block_minimum\": 1",
      "\"block_size_preferred\"",
    ] where !info.output.contains(text) {
      // Names differ between versions of libnbd; the size and the flag must be there.
      #expect(!text.contains("export-size") && !text.contains("read_only"), "\(info.output)")
    }
    let list = try served.run("nbdinfo", "--list", served.uri)
    #expect(list.status == 0 && list.output.contains("disk"), "\(list.output)")
    let map = try served.run("nbdinfo", "--map", "--json", served.uri)
    #expect(map.status == 0, "\(map.output)")
    struct Entry: Decodable {
      var offset, length, type: Int
    }
    let entries = try JSONDecoder().decode([Entry].self, from: Data(map.output.utf8))
    let bytes = served.device.bytes
    #expect(entries.reduce(0) { $0 + $1.length } == bytes.count)
    for entry in entries {
      let isHole = bytes[entry.offset..<(entry.offset + entry.length)].allSatisfy { $0 == 0 }
      #expect(isHole ? entry.type == 3 : entry.type == 0)
    }
  }

  @Test(arguments: [[], ["--connections=4", "--requests=64"], ["--connections=1", "--request-size=33554432"]])
  func nbdcopy(_ options: [String]) throws {
    let served = try Served(MemoryDevice(blocks: 120))
    let out = served.folder("out")
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["timeout", "60", "nbdcopy"] + options + [served.uri, out]
    try process.run()
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    let isSame = same(Array(try Data(contentsOf: URL(filePath: out))), served.device.bytes)
    #expect(isSame)
  }

  @Test func qemuReadsAndCompares() throws {
    let served = try Served(MemoryDevice())
    let out = served.folder("out")
    let converted = try served.run("qemu-img", "convert", "-f", "raw", "-O", "raw", served.uri, out)
    #expect(converted.status == 0, "\(converted.output)")
    let isSame = same(Array(try Data(contentsOf: URL(filePath: out))), served.device.bytes)
    #expect(isSame)
    let compared = try served.run("qemu-img", "compare", "-f", "raw", "-F", "raw", served.uri, out)
    #expect(compared.status == 0 && compared.output.contains("identical"), "\(compared.output)")
    let refused = try served.run("qemu-io", "-f", "raw", "-c", "write 0 4k", served.uri)
    #expect(refused.status != 0 || refused.output.contains("ermi") || refused.output.contains("read-only"))
    #expect(served.stop())
  }

  @Test func qemuWrites() throws {
    let served = try Served(MemoryDevice(isWritable: true, tail: 0))
    var expected = served.device.bytes
    func fill(_ range: Range<Int>, _ byte: UInt8) {
      expected.replaceSubrange(range, with: [UInt8](repeating: byte, count: range.count))
    }
    let commands = [
      "write -P 0x55 0 1M", "write -P 0x66 70000 512", "write -z 512k 256k", "write -z -u 900k 100k",
      "discard 1M 64k", "write -f -P 0x77 2M 64k", "flush", "read -P 0x66 70000 512", "read -P 0 512k 256k",
    ]
    let output = try served.run(
      "sh", "-c", "qemu-io -f raw \(commands.map { "-c '\($0)'" }.joined(separator: " ")) '\(served.uri)'")
    #expect(output.status == 0 && !output.output.contains("failed"), "\(output.output)")
    fill(0..<(1 << 20), 0x55)
    fill(70000..<70512, 0x66)
    fill((512 << 10)..<(768 << 10), 0)
    fill((900 << 10)..<(1000 << 10), 0)
    fill((1 << 20)..<(1 << 20 + 64 << 10), 0)
    fill((2 << 20)..<(2 << 20 + 64 << 10), 0x77)
    let isSame = same(served.device.bytes, expected)
    #expect(isSame)
    #expect(served.device.flushes.load(ordering: .relaxed) > 0)
  }

  @Test func aDeviceThatFailsIsAnErrorAndNoEnd() throws {
    let served = try Served(MemoryDevice(isWritable: true, tail: 0))
    served.device.failure.withLock { $0 = .noSpace }
    let failed = try served.run("qemu-io", "-f", "raw", "-c", "write 0 64k", served.uri)
    #expect(failed.output.contains("No space left"), "\(failed.output)")
    served.device.failure.withLock { $0 = .io }
    let reading = try served.run("qemu-io", "-f", "raw", "-c", "read 0 64k", served.uri)
    #expect(reading.output.contains("Input/output error"), "\(reading.output)")
    served.device.failure.withLock { $0 = nil }
    #expect(try served.run("qemu-io", "-f", "raw", "-c", "read 0 64k", served.uri).output.contains("ops"))
  }
}
