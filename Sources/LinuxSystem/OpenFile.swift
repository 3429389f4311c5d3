import CLinux
import Glibc

/// An open file; owns its descriptor and closes it when the last reference goes.
///
/// Every call blocks. All of them may be used from many threads at once: they pass offsets and share no position,
/// but for `extents`, which moves the descriptor's.
public final class OpenFile: Sendable {
  public let descriptor: Int32
  public let path: String

  public enum Mode: Sendable {
    case read, write, readWrite
    /// Opened or made, with these permission bits.
    case create(permissions: UInt32)
    /// Fails when it is there already.
    case createNew(permissions: UInt32)
  }

  /// Takes over the descriptor.
  public init(adopting descriptor: Int32, path: String) {
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close(descriptor) }

  /// Symbolic links are followed unless `followLinks` is false, where the last component must not be one (ELOOP).
  public static func open(_ path: String, _ mode: Mode, followLinks: Bool = true) throws(SystemError) -> OpenFile {
    let (flags, permissions): (Int32, UInt32) =
      switch mode {
      case .read: (O_RDONLY, 0)
      case .write: (O_WRONLY, 0)
      case .readWrite: (O_RDWR, 0)
      case .create(let bits): (O_RDWR | O_CREAT, bits)
      case .createNew(let bits): (O_RDWR | O_CREAT | O_EXCL, bits)
      }
    let link = followLinks ? 0 : O_NOFOLLOW
    let descriptor = retrying { unsafe clinux_open(path, flags | link, permissions) }
    guard descriptor >= 0 else { throw .last("open", path: path) }
    return OpenFile(adopting: descriptor, path: path)
  }

  /// Reads until the buffer is full or the file ends; returns the bytes read.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) -> Int {
    var done = 0
    while done < buffer.count {
      let count = retrying {
        unsafe pread(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
      }
      if count < 0 { throw .last("read", path: path) }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// The beginning of the file into an array; returns the bytes read.
  func read(into bytes: inout [UInt8]) throws(SystemError) -> Int {
    let result: Result<Int, SystemError> = unsafe bytes.withUnsafeMutableBytes { buffer in
      Result { () throws(SystemError) in try unsafe read(into: buffer, at: 0) }
    }
    return try result.get()
  }

  /// Writes all of it.
  public func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws(SystemError) {
    var done = 0
    while done < buffer.count {
      let count = retrying {
        unsafe pwrite(descriptor, buffer.baseAddress! + done, buffer.count - done, off_t(offset) + off_t(done))
      }
      if count < 0 { throw .last("write", path: path) }
      done += count
    }
  }

  private func write(_ bytes: [UInt8], count: Int, at offset: UInt64) throws(SystemError) {
    try unsafe bytes.withBytes { (buffer) throws(SystemError) in
      try unsafe write(UnsafeRawBufferPointer(rebasing: buffer[..<count]), at: offset)
    }
  }

  public func status() throws(SystemError) -> FileStatus {
    try FileStatus.of(descriptor: descriptor, path: path)
  }

  public func size() throws(SystemError) -> UInt64 { try status().size }

  public func truncate(to size: UInt64) throws(SystemError) {
    guard retrying({ ftruncate(descriptor, off_t(size)) }) == 0 else { throw .last("truncate", path: path) }
  }

  /// fdatasync: contents and what is needed to read them.
  public func syncData() throws(SystemError) {
    guard fdatasync(descriptor) == 0 else { throw .last("fdatasync", path: path) }
  }

  public func sync() throws(SystemError) {
    guard fsync(descriptor) == 0 else { throw .last("fsync", path: path) }
  }

  /// Makes the range read as zero and gives its blocks back. Where the file system can't, zeros are written.
  public func punchHole(offset: UInt64, length: UInt64) throws(SystemError) {
    guard length > 0 else { return }
    if clinux_punch_hole(descriptor, Int64(offset), Int64(length)) == 0 { return }
    guard Glibc.errno == EOPNOTSUPP || Glibc.errno == ENOSYS else { throw .last("punch hole", path: path) }
    let zeros = [UInt8](repeating: 0, count: Int(min(length, 1 << 20)))
    var at = offset
    while at < offset + length {
      let part = Int(min(UInt64(zeros.count), offset + length - at))
      try write(zeros, count: part, at: at)
      at += UInt64(part)
    }
  }

  /// flock: held until the descriptor is closed, by this process or by children that inherited it.
  public func tryLockExclusive() throws(SystemError) -> Bool {
    if retrying({ clinux_try_lock_exclusive(descriptor) }) == 0 { return true }
    if Glibc.errno == EWOULDBLOCK { return false }
    throw .last("lock", path: path)
  }

  /// flock, shared with others that ask for the same. False: somebody has it exclusively.
  public func tryLockShared() throws(SystemError) -> Bool {
    if retrying({ clinux_try_lock_shared(descriptor) }) == 0 { return true }
    if Glibc.errno == EWOULDBLOCK { return false }
    throw .last("lock", path: path)
  }
}

/// Repeats a call that a signal interrupted.
func retrying<T: SignedInteger>(_ call: () -> T) -> T {
  while true {
    let result = call()
    if result != -1 || errno != EINTR { return result }
  }
}

extension [UInt8] {
  /// `withUnsafeBytes`, which loses the type of what is thrown.
  func withBytes<R>(
    _ body: (UnsafeRawBufferPointer) throws(SystemError) -> R
  ) throws(SystemError) -> R {
    let result: Result<R, SystemError> = unsafe withUnsafeBytes { buffer in
      Result { () throws(SystemError) in try unsafe body(buffer) }
    }
    return try result.get()
  }
}
