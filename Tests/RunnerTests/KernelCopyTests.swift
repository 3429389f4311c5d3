import CDroverPlugin
import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Runner

/// Two files behind devices that offer them.
@Suite struct KernelCopyTests {
  private final class FileDevice: FakeDevice, @unchecked Sendable {
    // Sendable: the file bears every thread.
    let file: OpenFile
    init(_ file: OpenFile) {
      self.file = file
      super.init()
    }
    override func extents(
      _ offset: UInt64, _ length: UInt64, _ room: UnsafeMutableBufferPointer<drover_extent>
    ) throws -> Int64 {
      let found = try file.extents(offset: offset, length: length, limit: room.count)
      for (index, extent) in found.enumerated() {
        room[index] = drover_extent(
          offset: extent.offset, length: extent.length, type: extent.isData ? 0 : 1, reserved: 0)
      }
      return Int64(found.count)
    }
    override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
      Int64(try file.read(into: buffer, at: offset))
    }
    override func write(_ buffer: UnsafeRawBufferPointer, _ offset: UInt64) throws {
      try file.write(buffer, at: offset)
    }
    override func zero(_ offset: UInt64, _ length: UInt64) throws {}
    override func fileRange(_ offset: UInt64, _ length: UInt64) throws -> (descriptor: Int32, offset: UInt64) {
      (file.descriptor, offset)
    }
    override func commit(_ commit: drover_commit) throws { try file.truncate(to: commit.size) }
  }

  /// Data, a hole of a mebibyte, data.
  private static func content() -> [UInt8] {
    var noise = Noise(seed: 71)
    return noise.bytes(3 * 4096) + [UInt8](repeating: 0, count: 1 << 20) + noise.bytes(5 * 4096)
  }

  private static func run(
    _ folder: TemporaryFolder, known: Bool, expected: String? = nil, changes: Bool = false
  ) throws -> (answer: WorkerReport?, script: Script, written: [UInt8]) {
    let bytes = content()
    let from = try OpenFile.open(folder("from"), .create(permissions: 0o600))
    try bytes[..<12288].withUnsafeBytes { try from.write($0, at: 0) }
    try bytes[(12288 + 1 << 20)...].withUnsafeBytes { try from.write($0, at: 12288 + 1 << 20) }
    let to = try OpenFile.open(folder("to"), .create(permissions: 0o600))
    let script = Script()
    let infos = Mutex(0)
    let source = FakeStage("source") { _, _ in
      let device = FileDevice(from)
      device.size = UInt64(bytes.count)
      device.flags = DROVER_DEVICE_IMAGE_FILE
      if known {
        device.sha512 = sha512(bytes)
        device.blockHashes = blockHashes(bytes)
      }
      device.script = Script { [weak device] _, call in
        try script.hit(call)
        guard changes, call == "info" else { return }
        let asked = infos.withLock {
          $0 += 1
          return $0
        }
        if asked > 1 { device?.sha512 = nil }
      }
      return device
    }
    let sink = FakeStage("sink") { _, _ in
      let device = FileDevice(to)
      device.flags = DROVER_DEVICE_WRITABLE | DROVER_DEVICE_IMAGE_FILE | DROVER_DEVICE_STARTS_ZERO
      device.blockPreferred = 4096
      device.script = script
      return device
    }
    var pipeline = Pipeline.copy
    pipeline.expectedChecksum = expected
    let answer = Harness().run(Harness().order(pipeline), [source, sink])
    return (answer, script, try Folder.readFile(folder("to"), limit: 1 << 24))
  }

  @Test func aKnownImageIsCopiedByTheKernelAndKeepsItsHoles() throws {
    let folder = TemporaryFolder("kernel")
    let (answer, script, written) = try Self.run(folder, known: true)
    #expect(isSame(written, Self.content()))
    #expect(answer.result?.checksum == sha512(Self.content()))
    #expect(!script.names.contains("pread"))
    #expect(!script.names.contains("pwrite"))
    #expect(try FileStatus.of(folder("to"))!.allocatedBytes < 1 << 20)
  }

  @Test func anUnknownImageIsReadAndHashed() throws {
    let (answer, script, written) = try Self.run(TemporaryFolder("kernel"), known: false)
    #expect(isSame(written, Self.content()))
    #expect(answer.result?.checksum == sha512(Self.content()))
    #expect(script.names.contains("pwrite"))
  }

  @Test func anInheritedChecksumThatIsNotTheExpectedOneCopiesNothing() throws {
    let (answer, _, written) = try Self.run(TemporaryFolder("kernel"), known: true, expected: sha512([1]))
    #expect(answer.fault?.code == .checksumMismatch)
    #expect(written.isEmpty)
  }

  @Test func aSourceThatChangesMeanwhileIsNotCommitted() throws {
    let (answer, script, _) = try Self.run(TemporaryFolder("kernel"), known: true, changes: true)
    #expect(answer.fault?.code == .sourceChanged)
    #expect(answer.fault?.retry == .transient)
    #expect(!script.names.contains("commit"))
  }

  /// Changes the first 4096 bytes, and hands on the rest as it lies below.
  private final class HeaderFilter: FakeDevice, @unchecked Sendable {
    // Sendable: the lower device bears many threads.
    let lower: drover_device
    init(_ open: drover_open, size: Int) {
      lower = open.lower!.pointee
      super.init()
      self.size = UInt64(size)
      blockPreferred = 4096
    }
    override func read(_ buffer: UnsafeMutableRawBufferPointer, _ offset: UInt64) throws -> Int64 {
      var error = drover_error()
      error.struct_size = MemoryLayout<drover_error>.size
      let count = lower.ops.pointee.pread!(lower.handle, buffer.baseAddress, UInt64(buffer.count), offset, &error)
      if offset < 4096 { for index in 0..<min(buffer.count, 4096 - Int(offset)) { buffer[index] = 0xAB } }
      return count
    }
    override func fileRange(_ offset: UInt64, _ length: UInt64) throws -> (descriptor: Int32, offset: UInt64) {
      guard offset >= 4096 else { throw FakeFailure(code: "not-offered", message: "changed here") }
      var error = drover_error()
      error.struct_size = MemoryLayout<drover_error>.size
      var place: (descriptor: Int32, offset: UInt64) = (-1, 0)
      _ = lower.ops.pointee.file_range!(lower.handle, offset, length, &place.descriptor, &place.offset, &error)
      return place
    }
  }

  @Test func whatAFilterLeavesAsItIsIsCopiedByTheKernel() throws {
    let folder = TemporaryFolder("kernel")
    var noise = Noise(seed: 72)
    let bytes = noise.bytes(64 * 4096)
    let from = try OpenFile.open(folder("from"), .create(permissions: 0o600))
    try bytes.withUnsafeBytes { try from.write($0, at: 0) }
    let to = try OpenFile.open(folder("to"), .create(permissions: 0o600))
    let script = Script()
    let source = FakeStage("source") { _, _ in
      let device = FileDevice(from)
      device.size = UInt64(bytes.count)
      device.flags = DROVER_DEVICE_IMAGE_FILE
      // The source's checksum is not the result's.
      device.sha512 = sha512(bytes)
      device.blockHashes = blockHashes(bytes)
      return device
    }
    let filter = FakeStage("filter") { open, _ in HeaderFilter(open, size: bytes.count) }
    let sink = FakeStage("sink") { _, _ in
      let device = FileDevice(to)
      device.flags = DROVER_DEVICE_WRITABLE | DROVER_DEVICE_IMAGE_FILE | DROVER_DEVICE_STARTS_ZERO
      device.blockPreferred = 4096
      device.script = script
      return device
    }
    let pipeline = Pipeline(from: [.init("source", .source), .init("filter", .filter)], to: [.init("sink", .sink)])
    let answer = Harness().run(Harness().order(pipeline), [source, sink, filter])
    let expected = [UInt8](repeating: 0xAB, count: 4096) + bytes[4096...]
    #expect(isSame(try Folder.readFile(folder("to"), limit: 1 << 24), expected))
    #expect(answer.result?.checksum == sha512(expected))
    #expect(script.names.filter { $0 == "pwrite" }.count == 1)
  }

  @Test func betweenFileSystemsTheBytesAreReadAndHashed() throws {
    // A pipe's end is no file that the kernel copies to, as a file of another file system may be.
    let (read, write) = try Pipe.make()
    defer {
      close(read)
      close(write)
    }
    let source = FakeDeviceWithFile(read)
    let sink = FakeDeviceWithFile(write)
    #expect(try KernelCopy.between(source, sink, size: 4096) == nil)
  }

  /// No more than a descriptor.
  private final class FakeDeviceWithFile: BlockDevice {
    let descriptor: Int32
    init(_ descriptor: Int32) { self.descriptor = descriptor }
    let name = "file"
    let info = DeviceInfo()
    let calls: DeviceCalls = [.fileRange]
    func extents(offset: UInt64, length: UInt64, into: UnsafeMutableBufferPointer<drover_extent>) throws -> Int { 0 }
    func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int { 0 }
    func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {}
    func zero(offset: UInt64, length: UInt64) throws {}
    func flush() throws {}
    func fileRange(offset: UInt64, length: UInt64) throws -> FilePlace? {
      FilePlace(descriptor: descriptor, offset: 0)
    }
  }
}
