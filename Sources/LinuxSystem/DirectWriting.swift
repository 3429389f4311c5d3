import CLinux
import Glibc
import Synchronization

/// What addresses, offsets and lengths are multiples of when the kernel is asked to go around the page cache: enough
/// for every sector size that disks have. A file system that wants more refuses, and is written to through the cache.
private let directUnit = 4096

/// Writes to an open file around the page cache where that can be, so that a long copy neither pushes out what others
/// have there nor pays for pages of its own. What can't go around it, a tail or a buffer in an odd place, goes through.
///
/// Like any write it is durable only after a sync of the file. From many threads at once.
public final class DirectWriter: Sendable {
  private let file: OpenFile
  /// A second descriptor of the same file; nil where its file system has no such writes.
  private let direct: OpenFile?
  private let isRefused = Atomic(false)

  public init(_ file: OpenFile) {
    self.file = file
    let descriptor = clinux_reopen_direct(file.descriptor)
    direct = descriptor < 0 ? nil : OpenFile(adopting: descriptor, path: file.path)
  }

  /// Writes all of it.
  public func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
    let whole = buffer.count / directUnit * directUnit
    guard let direct, whole > 0, unsafe isAligned(buffer), offset % UInt64(directUnit) == 0,
      !isRefused.load(ordering: .relaxed)
    else { return try unsafe file.write(buffer, at: offset) }
    do throws(SystemError) {
      try unsafe direct.write(UnsafeRawBufferPointer(rebasing: buffer[..<whole]), at: offset)
    } catch {
      guard error.errno == EINVAL else { throw error }
      isRefused.store(true, ordering: .relaxed)
      return try unsafe file.write(buffer, at: offset)
    }
    if whole < buffer.count {
      try unsafe file.write(UnsafeRawBufferPointer(rebasing: buffer[whole...]), at: offset + UInt64(whole))
    }
  }
}

extension OpenFile {
  /// Fills a file that was made just now and that nobody else uses, around the page cache where that can be. Durable
  /// only after a sync.
  public func fill(_ bytes: UnsafeRawBufferPointer) throws(SystemError) {
    let whole = bytes.count / directUnit * directUnit
    guard whole > 0, unsafe isAligned(bytes), clinux_set_direct(descriptor, 1) == 0 else {
      return try unsafe write(bytes, at: 0)
    }
    let failure: SystemError?
    do throws(SystemError) {
      try unsafe write(UnsafeRawBufferPointer(rebasing: bytes[..<whole]), at: 0)
      failure = nil
    } catch {
      failure = error
    }
    guard clinux_set_direct(descriptor, 0) == 0 else { throw .last("set flags of", path: path) }
    if let failure, failure.errno != EINVAL { throw failure }
    let done = failure == nil ? whole : 0
    try unsafe write(UnsafeRawBufferPointer(rebasing: bytes[done...]), at: UInt64(done))
  }
}

private func isAligned(_ buffer: UnsafeRawBufferPointer) -> Bool {
  Int(bitPattern: buffer.baseAddress) % directUnit == 0
}
