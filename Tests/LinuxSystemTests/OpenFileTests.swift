import LinuxSystem
import TestKit
import Testing

@Suite struct OpenFileTests {
  let folder = TemporaryFolder("file")

  private func sparse(size: UInt64, data: [(UInt64, Int)]) throws -> OpenFile {
    let file = try OpenFile.open(folder("sparse"), .createNew(permissions: 0o600))
    try file.truncate(to: size)
    for (offset, length) in data {
      try [UInt8](repeating: 7, count: length).withUnsafeBytes { try file.write($0, at: offset) }
    }
    return file
  }

  @Test func extentsCoverTheRangeWithoutGaps() throws {
    let file = try sparse(size: 8 << 20, data: [(1 << 20, 4096), (5 << 20, 100)])
    let runs = try file.extents(offset: 0, length: 8 << 20)
    #expect(runs.first?.offset == 0)
    #expect(runs.map(\.length).reduce(0, +) == 8 << 20)
    for (left, right) in zip(runs, runs.dropFirst()) { #expect(left.offset + left.length == right.offset) }
    #expect(runs.contains { $0.isData && $0.offset <= 1 << 20 && $0.offset + $0.length >= 1 << 20 + 4096 })
    #expect(runs.contains { !$0.isData && $0.length >= 1 << 20 })
  }

  @Test func extentsStopAtTheLimit() throws {
    let file = try sparse(size: 8 << 20, data: [(1 << 20, 4096), (5 << 20, 100)])
    let runs = try file.extents(offset: 0, length: 8 << 20, limit: 2)
    #expect(runs.count == 2)
  }

  @Test func beyondTheEndIsAHole() throws {
    let file = try sparse(size: 4096, data: [(0, 4096)])
    #expect(try file.extents(offset: 8192, length: 4096) == [FileExtent(offset: 8192, length: 4096, isData: false)])
  }

  @Test func readStopsAtTheEndAndPunchedBytesAreZero() throws {
    let file = try sparse(size: 0, data: [(0, 10_000)])
    try file.punchHole(offset: 4096, length: 4096)
    var bytes = [UInt8](repeating: 1, count: 20_000)
    let count = try bytes.withUnsafeMutableBytes { try file.read(into: $0, at: 0) }
    #expect(count == 10_000)
    #expect(bytes[4096..<8192].allSatisfy { $0 == 0 })
    #expect(bytes[0..<4096].allSatisfy { $0 == 7 })
    #expect(bytes[8192..<10_000].allSatisfy { $0 == 7 })
  }

  @Test func aLockExcludesAnotherDescriptorUntilItIsClosed() throws {
    let path = folder("lock")
    var first: OpenFile? = try OpenFile.open(path, .create(permissions: 0o600))
    let second = try OpenFile.open(path, .create(permissions: 0o600))
    #expect(try first!.tryLockExclusive())
    #expect(try !second.tryLockExclusive())
    first = nil
    #expect(try second.tryLockExclusive())
  }

  @Test func kernelCopyGivesTheSameBytes() throws {
    let source = try sparse(size: 0, data: [(0, 100_000)])
    let copy = try OpenFile.open(folder("copy"), .createNew(permissions: 0o600))
    guard let count = try copy.copyRange(from: source, sourceOffset: 0, offset: 0, length: 100_000) else {
      print("skipped: this file system has no copy_file_range")
      return
    }
    #expect(count == 100_000)
    var bytes = [UInt8](repeating: 0, count: 100_000)
    _ = try bytes.withUnsafeMutableBytes { try copy.read(into: $0, at: 0) }
    #expect(bytes.allSatisfy { $0 == 7 })
  }

  /// Lengths around the unit of direct writes, and an address that it does not take.
  @Test(arguments: [0, 1, 4095, 4096, 4097, 3 * 4096 + 1, 2 << 20], [0, 1])
  func whatIsFilledIsThere(length: Int, shift: Int) throws {
    var noise = Noise(seed: UInt64(length))
    let bytes = noise.bytes(length)
    let file = try OpenFile.open(folder("filled-\(length)-\(shift)"), .createNew(permissions: 0o600))
    try aligned(bytes, shift: shift) { try file.fill($0) }
    #expect(try Folder.readFile(file.path, limit: .max) == bytes)
    // It is as good as any other file afterwards, also for what is written in odd places.
    try [UInt8]([1, 2, 3]).withUnsafeBytes { try file.write($0, at: 5) }
    #expect(try Array(Folder.readFile(file.path, limit: .max)[5..<8]) == [1, 2, 3])
  }

  @Test func directWritesAndOthersMakeOneFile() throws {
    var noise = Noise(seed: 7)
    let file = try OpenFile.open(folder("direct"), .createNew(permissions: 0o600))
    let writer = DirectWriter(file)
    var expected = [UInt8](repeating: 0, count: 100_000)
    for (offset, length, shift) in [
      (40960, 8192, 0), (0, 4096, 0), (4096, 5000, 0), (9096, 3000, 0), (20480, 4096, 3), (81920, 18080, 0),
    ] {
      let bytes = noise.bytes(length)
      try aligned(bytes, shift: shift) { try writer.write($0, at: UInt64(offset)) }
      expected.replaceSubrange(offset..<(offset + length), with: bytes)
    }
    #expect(try Folder.readFile(file.path, limit: .max) == expected)
    #expect(throws: SystemError.self) {
      try aligned(noise.bytes(4096), shift: 0) { try writer.write($0, at: 1 << 62) }
    }
  }

  private func aligned<R>(_ bytes: [UInt8], shift: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count + shift, alignment: 4096)
    defer { buffer.deallocate() }
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[shift...])
    target.copyBytes(from: bytes)
    return try body(UnsafeRawBufferPointer(target))
  }

  @Test func errorsNameTheCallThePathAndTheAnswer() {
    let error = #expect(throws: SystemError.self) { try OpenFile.open(folder("absent"), .read) }
    #expect(error?.description == "open \(folder("absent")): No such file or directory")
    #expect(error?.isAbsent == true)
  }

  @Test func aSymbolicLinkIsRefusedWhereAskedFor() throws {
    let process = try ChildProcess.spawn(
      "/bin/ln", arguments: ["ln", "-s", "/etc/passwd", folder("link")], environment: [:], descriptors: [])
    #expect(try process.wait() == .code(0))
    #expect(throws: SystemError.self) { try OpenFile.open(folder("link"), .read, followLinks: false) }
    #expect(try FileStatus.of(folder("link"), followLinks: false)?.isSymbolicLink == true)
  }
}
