import DiskImage
import LinuxSystem
import StageKit

/// An image that is being made. Its file is sparse: what is never written stays a hole.
final class NewImage: Device {
  private let params: NewImageParams
  private let partial: PartialImage
  private let host: any Host
  private let writer: DirectWriter
  private let job: String

  init(_ params: NewImageParams, request: OpenRequest, host: any Host) throws {
    self.params = params
    self.host = host
    job = request.job
    _ = try FinishedImage.find(params)
    let size = try request.source?.info().size
    if let size { try Self.check(size: size) }
    partial = try PartialImage.open(
      params.partialFolder, continuing: request.checkpoint.map { String(decoding: $0, as: UTF8.self) })
    writer = DirectWriter(partial.file)
    // A size that no file can have, in a foreign backup's config, is refused here and not after years of zeros.
    let written = try partial.file.size()
    if let size, written < size {
      try partial.file.truncate(to: size)
      try partial.file.truncate(to: written)
    }
  }

  private static func check(size: UInt64) throws {
    guard size > 0, size % 512 == 0 else {
      throw StageError(
        "bad-size", "the image has \(size) bytes, which is not a multiple of 512",
        hint: "an image is a disk, and a disk has whole sectors; was the file cut, or is it compressed?")
    }
  }

  func info() throws -> DeviceInfo {
    DeviceInfo(
      size: nil, blockPreferred: 2 << 20, flags: [.writable, .imageFile, .startsZero], identity: partial.identifier)
  }

  func extents(offset: UInt64, length: UInt64) throws -> [Extent] {
    try partial.file.extents(offset: offset, length: length, limit: 1024).map {
      Extent(offset: $0.offset, length: $0.length, kind: $0.isData ? .data : .zero)
    }
  }

  /// What was not written yet reads as zero, also beyond the end of the file.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    let count = try partial.file.read(into: buffer, at: offset)
    UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
    return buffer.count
  }

  func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try writer.write(buffer, at: offset)
  }

  /// Beyond the end of the file there is nothing to do; below it an earlier attempt may have written.
  func zero(offset: UInt64, length: UInt64) throws {
    let size = try partial.file.size()
    if offset < size { try partial.file.punchHole(offset: offset, length: min(length, size - offset)) }
  }

  func flush() throws { try partial.file.syncData() }

  func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? {
    FileRange(descriptor: partial.file.descriptor, offset: offset)
  }

  func checkpoint(offset: UInt64) throws -> [UInt8]? { Array(partial.identifier.utf8) }

  func commit(_ commit: Commit) throws {
    try Self.check(size: commit.size)
    let checksum = commit.sha512?.lowercased()
    if let expected = params.expectedChecksum?.lowercased(), !expected.isEmpty, let checksum, checksum != expected {
      throw StageError("checksum-mismatch", "the image has SHA-512 \(checksum), expected was \(expected)")
    }
    if let finished = try FinishedImage.find(params) {
      if finished.holds(size: commit.size, checksum: checksum) {
        try Folder.removeTree(partial.folder)
        return host.emit("result", json: try finished.result())
      }
      // What the source holds now counts, not what an attempt of this job saw that died before it could say so.
      guard finished.sidecar.droverJob == job else { throw FinishedImage.taken(params.folder) }
      try FinishedImage.remove(params)
    }
    let finished = try finish(commit.size, checksum, commit.blockHashes)
    try partial.rename(to: params.folder)
    host.emit("result", json: try finished.result())
  }

  /// Everything that the image consists of, complete and on disk, but not yet in its place.
  private func finish(_ size: UInt64, _ checksum: String?, _ hashes: [UInt8]?) throws -> FinishedImage {
    try partial.file.truncate(to: size)
    try partial.file.sync()
    let description = try ImageDescription.of(partial.file)
    if let checksum, let hashes, let list = BlockHashList(imageSize: size, checksum: checksum, hashes: hashes) {
      try list.write(beside: partial.file.path)
    }
    let sidecar = ImageSidecar(
      path: params.image, uuid: params.uuid, description: description, status: try partial.file.status(),
      expectedChecksum: params.expectedChecksum, checksum: checksum, job: job)
    try sidecar.write(beside: partial.file.path)
    return try FinishedImage(path: params.image, sidecar: sidecar, file: partial.file)
  }
}
