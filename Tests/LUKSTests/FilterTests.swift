import CryptoStage
import DiskImage
import Foundation
import StageKit
import Synchronization
import TestKit
import Testing

/// What the runner may expect of the filter.
@Suite struct FilterTests {
  @Test func readsPartsOfSectorsAnywhere() throws {
    let plain = Array(noise[..<(5 << 20)])
    let image = MemoryDevice(try encrypted(plain))
    var generator = Noise(seed: 7)
    try withDevice(over: image) { device throws in
      #expect(try read(device, plain.count - 100, at: 50) == Array(plain[50..<(plain.count - 50)]))
      for _ in 0..<40 {
        let offset = Int.random(in: 0..<plain.count, using: &generator)
        let length = Int.random(in: 0...min(plain.count - offset, 1 << 18), using: &generator)
        #expect(try read(device, length, at: offset) == Array(plain[offset..<(offset + length)]))
      }
      #expect(try stageError { _ = try read(device, 512, at: plain.count) }.code == "invalid")
      #expect(try stageError { _ = try read(device, 513, at: plain.count - 512) }.code == "invalid")
    }
  }

  @Test(arguments: [1, 3, 4095, 4097, 10239]) func anyNumberOfSectorsIsEncryptedAndRead(_ sectors: Int) throws {
    let plain = Array(noise[..<(sectors * 512)])
    let image = try encrypted(plain)
    #expect(image.count == plain.count + (16 << 20))
    #expect(try decrypted(image) == plain)
  }

  @Test func manyThreadsWriteAndReadAtOnce() throws {
    let plain = noise
    let lower = MemoryDevice(isNew: true)
    let failures = Mutex(0)
    func many(_ device: any Device, _ body: @Sendable (any Device, Int) throws -> Void) {
      nonisolated(unsafe) let device = device
      DispatchQueue.concurrentPerform(iterations: plain.count / 65536) { index in
        do { try body(device, index * 65536) } catch { failures.withLock { $0 += 1 } }
      }
    }
    try withDevice(
      over: lower, params: "{\"format\": true, \(fast)}", writable: true, source: MemoryDevice(plain)
    ) { device throws in
      many(device) { device, offset in
        try noise[offset..<(offset + 65536)].withUnsafeBytes { try device.write($0, at: UInt64(offset)) }
      }
    }
    let image = MemoryDevice(lower.bytes)
    try withDevice(over: image) { device throws in
      many(device) { device, offset in
        if try read(device, 65536, at: offset) != Array(noise[offset..<(offset + 65536)]) {
          failures.withLock { $0 += 1 }
        }
      }
    }
    #expect(failures.withLock { $0 } == 0)
  }

  @Test func zerosAreWrittenAsCiphertext() throws {
    let lower = MemoryDevice(isNew: true)
    let plain = [UInt8](repeating: 0, count: (3 << 20) + 512)
    try withDevice(
      over: lower, params: "{\"format\": true, \(fast)}", writable: true, source: MemoryDevice(plain)
    ) { device throws in try device.zero(offset: 0, length: UInt64(plain.count)) }
    let ciphertext = lower.bytes[(16 << 20)...]
    #expect(ciphertext.count == plain.count)
    for start in stride(from: ciphertext.startIndex, to: ciphertext.endIndex, by: 512) {
      #expect(ciphertext[start..<(start + 512)].contains { $0 != 0 })
    }
    #expect(try decrypted(lower.bytes) == plain)
    try withDevice(over: MemoryDevice(lower.bytes)) { device throws in
      #expect(try device.info().flags == .noExtents)
    }
  }

  @Test func aCancelIsHeardWhileZerosAreWritten() throws {
    let host = RecordingHost()
    let lower = MemoryDevice(isNew: true)
    try withDevice(
      over: lower, params: "{\"format\": true, \(fast)}", writable: true, source: MemoryDevice([0] + noise.dropFirst()),
      host: host
    ) { device throws in
      host.cancelled.withLock { $0 = true }
      #expect(try stageError { try device.zero(offset: 0, length: 1 << 40) }.code == "cancelled")
    }
  }

  @Test func everyCallThatFailsBelowIsTold() throws {
    let plain = Array(noise[..<(3 << 20)])
    let params = "{\"format\": true, \(fast)}"
    func attempt(_ failing: Int?) throws -> Int {
      let lower = MemoryDevice(isNew: true)
      lower.fail(failing)
      try withDevice(over: lower, params: params, writable: true, source: MemoryDevice(plain)) { device throws in
        try plain.withUnsafeBytes { try device.write($0, at: 0) }
        try device.flush()
      }
      return lower.calls
    }
    let calls = try attempt(nil)
    #expect(calls == 11)
    for n in 0..<calls { #expect(try stageError { _ = try attempt(n) }.message == "scripted", "call \(n)") }
    let image = try encrypted(plain)
    func reading(_ failing: Int?) throws -> Int {
      let lower = MemoryDevice(image)
      lower.fail(failing)
      try withDevice(over: lower) { device throws in _ = try read(device, 1 << 20, at: 512) }
      return lower.calls
    }
    let reads = try reading(nil)
    for n in 0..<reads { #expect(try stageError { _ = try reading(n) }.message == "scripted", "call \(n)") }
  }

  @Test func aContinuedEncryptionKeepsItsHeader() throws {
    let plain = Array(noise[..<(4 << 20)])
    let lower = MemoryDevice(isNew: true)
    let params = "{\"format\": true, \(fast)}"
    let (token, identity) = try withDevice(
      over: lower, params: params, writable: true, source: MemoryDevice(plain)
    ) { device throws in
      try plain[..<(2 << 20)].withUnsafeBytes { try device.write($0, at: 0) }
      return (try #require(try device.checkpoint(offset: 2 << 20)), try device.info().identity)
    }
    let header = lower.bytes[..<(16 << 20)]
    try withDevice(
      over: lower, params: params, writable: true, source: MemoryDevice(plain), checkpoint: token, attempt: 2
    ) { device throws in
      #expect(try device.info().identity == identity)
      try plain[(2 << 20)...].withUnsafeBytes { try device.write($0, at: 2 << 20) }
    }
    #expect(lower.bytes[..<(16 << 20)] == header)
    #expect(try decrypted(lower.bytes) == plain)
    // Another header there, another passphrase, or none: nothing is written.
    let other = MemoryDevice(try encrypted(plain), isNew: true)
    for (device, secret) in [(other, passphrase), (lower, [1]), (MemoryDevice(isNew: true), passphrase)] {
      let before = device.bytes
      let error = try stageError {
        try withDevice(
          over: device, params: params, secrets: ["passphrase": secret], writable: true, source: MemoryDevice(plain),
          checkpoint: token, attempt: 2
        ) { _ in }
      }
      #expect(error.retry == .never)
      #expect(device.bytes == before)
    }
  }

  @Test func refusesWhatIsNoDisk() throws {
    for size in [0, 1, 511, 513] {
      let error = try stageError { _ = try encrypted(Array(noise[..<size])) }
      #expect(error.code == "bad-size", "\(size)")
    }
    let lower = MemoryDevice(isNew: true)
    try withDevice(over: lower, params: "{\"format\": true, \(fast)}", writable: true) { device throws in
      let error = try stageError { try noise[..<700].withUnsafeBytes { try device.write($0, at: 0) } }
      #expect(error.code == "bad-size")
    }
  }

  @Test func plansForCiphertext() throws {
    let host = RecordingHost()
    var request = OpenRequest(
      role: .filter, writable: true, params: #"{"format": true}"#, job: "j", jobFolder: "/nonexistent")
    let plan = try CryptoStage.plan(request, below: Plan(size: 1 << 30, dataSize: 512), host: host)
    #expect(plan?.size == (1 << 30) + (16 << 20) && plan?.dataSize == plan?.size && plan?.filePath == nil)
    request.params = "{}"
    request.writable = false
    #expect(try CryptoStage.plan(request, below: Plan(size: 1 << 30), host: host)?.size == (1 << 30) - (16 << 20))
    let folder = TemporaryFolder("luks")
    try write(try encrypted(Array(noise[..<1024])), to: folder("secret"))
    try write(Array(noise[..<8192]), to: folder("plain"))
    let below = { Plan(size: (16 << 20) + 1024, filePath: folder($0)) }
    #expect(try CryptoStage.plan(request, below: below("secret"), host: host)?.size == 1024)
    #expect(
      try stageError { _ = try CryptoStage.plan(request, below: below("plain"), host: host) }.message
        .hasPrefix("cannot re-decrypt the backing image"))
    request.params = #"{"format": true, "image": "golden"}"#
    #expect(
      try stageError { _ = try CryptoStage.plan(request, below: below("secret"), host: host) }.message
        == "cannot re-encrypt the backing image, golden is already encrypted")
  }
}
