import CNFS
import Glibc
import LinuxSystem

/// One connection to a folder of an NFS server, in user space: nothing is mounted.
///
/// It may move between threads but is used by one at a time: libnfs' contexts are not made for more. After an error of kind
/// `disconnected` or `timedOut` it is of no use any more. Paths begin with a slash at that folder. A call that is not
/// answered within `answerSeconds`, or by the deadline (`BootClock`), ends.
@safe
public final class NFSMount: @unchecked Sendable {
  // Sendable: see above; that one at a time uses it is the caller's promise.
  private let context: OpaquePointer
  private let answerSeconds: Double
  /// 3 or 4.
  public let version: Int
  public private(set) var isBroken = false

  public struct Status: Sendable, Hashable {
    public var device: UInt64
    public var inode: UInt64
    public var size: UInt64
    /// By the server's clock.
    public var modifiedNanoseconds: Int64
    public var isRegular: Bool
    public var isFolder: Bool
  }

  /// Connects and looks the folder up. Ports that are nil are asked of the server's port mapper.
  public static func open(
    host: String, path: String, version: Int, port: UInt16?, mountPort: UInt16?, answerSeconds: Double, deadline: Double
  ) throws(NFSError) -> NFSMount {
    let mount = NFSMount(version: version, answerSeconds: answerSeconds)
    try mount.configure(host: host, port: port, mountPort: mountPort)
    unsafe try mount.call("mount \(host):", path, deadline) { reply in
      unsafe nfs_mount_async(mount.context, host, path, cnfs_take, reply)
    }
    return mount
  }

  private init(version: Int, answerSeconds: Double) {
    guard let context = unsafe nfs_init_context() else { preconditionFailure("nfs_init_context failed") }
    unsafe self.context = context
    self.version = version
    self.answerSeconds = answerSeconds
  }

  deinit { unsafe nfs_destroy_context(context) }

  private func configure(host: String, port: UInt16?, mountPort: UInt16?) throws(NFSError) {
    // The ports can only be given in a URL. Looking into every export for others below it would need the port mapper.
    var url = "nfs://\(host.contains(":") ? "host" : host)/?version=\(version)&auto-traverse-mounts=0"
    if let port { url += "&nfsport=\(port)" }
    if let mountPort { url += "&mountport=\(mountPort)" }
    guard let parsed = unsafe nfs_parse_url_incomplete(context, url) else {
      throw NFSError(.refused, errno: EINVAL, "libnfs does not take \(url): \(libraryMessage)")
    }
    unsafe nfs_destroy_url(parsed)
    // A lost connection is an error: what was written since the last commit may be gone with the server.
    unsafe nfs_set_autoreconnect(context, 0)
    unsafe nfs_set_dircache(context, 0)
    unsafe nfs_umask(context, 0)
  }

  /// Nil: there is nothing of that name. Links are not followed.
  public func status(_ path: String, deadline: Double) throws(NFSError) -> Status? {
    do throws(NFSError) {
      let reply = unsafe try call("stat", path, kind: .stat, deadline) { reply in
        unsafe nfs_lstat64_async(context, path, cnfs_take, reply)
      }
      return unsafe Status(reply.stat)
    } catch {
      if error.isAbsent { return nil }
      throw error
    }
  }

  /// Names in a folder; the whole of it is held.
  public func names(_ path: String, deadline: Double) throws(NFSError) -> [String] {
    let reply = unsafe try call("list", path, kind: .handle, deadline) { reply in
      unsafe nfs_opendir_async(context, path, cnfs_take, reply)
    }
    guard let folder = unsafe reply.handle else { throw NFSError(.refused, errno: EIO, "list \(path): no folder came") }
    let handle = OpaquePointer(folder)
    defer { unsafe nfs_closedir(context, handle) }
    var names: [String] = []
    while let entry = unsafe nfs_readdir(context, handle) {
      guard let name = unsafe entry.pointee.name else { continue }
      let text = unsafe String(cString: name)
      guard text != ".", text != ".." else { continue }
      guard !text.utf8.contains(UInt8(ascii: "/")) else {
        throw NFSError(.refused, errno: EIO, "list \(path): a name holds a slash")
      }
      names.append(text)
    }
    return names
  }

  /// Reads a whole file into the beginning of `buffer`. Returns its length, or nil when it is longer.
  public func read(
    _ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Double
  ) throws(NFSError) -> Int? {
    let file = unsafe try openFile(path, O_RDONLY, mode: 0, deadline)
    let outcome = Result { () throws(NFSError) in try unsafe readAll(file, path, into: buffer, deadline) }
    // What was read is there, whatever closing says.
    do throws(NFSError) { unsafe try close(file, path, deadline) } catch { if case .failure = outcome { throw error } }
    return try outcome.get()
  }

  private func readAll(
    _ file: OpaquePointer, _ path: String, into buffer: UnsafeMutableRawBufferPointer, _ deadline: Double
  ) throws(NFSError) -> Int? {
    let piece = Int(min(max(unsafe nfs_get_readmax(context), 4096), 1 << 20))
    var done = 0
    while done < buffer.count {
      let wanted = min(piece, buffer.count - done)
      let rest = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + wanted)])
      let count = unsafe try read(file, path, into: rest, at: done, deadline)
      if count == 0 { return done }
      done += count
    }
    var more: UInt8 = 0
    let count = unsafe try withUnsafeMutableBytes(of: &more) { (byte) throws(NFSError) in
      unsafe try read(file, path, into: byte, at: done, deadline)
    }
    return count == 0 ? done : nil
  }

  private func read(
    _ file: OpaquePointer, _ path: String, into buffer: UnsafeMutableRawBufferPointer, at offset: Int,
    _ deadline: Double
  ) throws(NFSError) -> Int {
    let reply = unsafe try call("read", path, kind: .bytes, into: buffer, deadline) { reply in
      unsafe nfs_pread_async(context, file, UInt64(offset), UInt64(buffer.count), cnfs_take, reply)
    }
    return unsafe Int(reply.status)
  }

  /// Makes a file that must not be there yet, writes it and has the server commit it to its disk.
  ///
  /// The connection does not come back by itself, so all of it went to one instance of the server: none can have lost what
  /// was written before it was committed.
  public func create(
    _ path: String, mode: UInt32, _ bytes: UnsafeRawBufferPointer, deadline: Double
  ) throws(NFSError) {
    let file = unsafe try openFile(path, O_WRONLY | O_CREAT | O_EXCL, mode: mode, deadline)
    do throws(NFSError) {
      unsafe try writeAll(file, path, bytes, deadline)
      unsafe try call("commit", path, deadline) { reply in unsafe nfs_fsync_async(context, file, cnfs_take, reply) }
    } catch {
      if !isBroken { unsafe try? close(file, path, deadline) }
      throw error
    }
    unsafe try close(file, path, deadline)
  }

  private func writeAll(
    _ file: OpaquePointer, _ path: String, _ bytes: UnsafeRawBufferPointer, _ deadline: Double
  ) throws(NFSError) {
    let piece = Int(min(max(unsafe nfs_get_writemax(context), 4096), 1 << 20))
    var done = 0
    while done < bytes.count {
      let count = min(piece, bytes.count - done)
      let reply = unsafe try call("write", path, deadline) { reply in
        unsafe nfs_pwrite_async(
          context, file, UInt64(done), UInt64(count), bytes.baseAddress.map { unsafe $0 + done }, cnfs_take, reply)
      }
      guard unsafe reply.status > 0 else { throw NFSError(.refused, errno: EIO, "write \(path): nothing was taken") }
      done += unsafe Int(reply.status)
    }
  }

  public func rename(_ from: String, _ to: String, deadline: Double) throws(NFSError) {
    unsafe try call("rename to", to, deadline) { reply in unsafe nfs_rename_async(context, from, to, cnfs_take, reply) }
  }

  public func remove(file path: String, deadline: Double) throws(NFSError) {
    unsafe try call("remove", path, deadline) { reply in unsafe nfs_unlink_async(context, path, cnfs_take, reply) }
  }

  public func makeFolder(_ path: String, mode: UInt32, deadline: Double) throws(NFSError) {
    unsafe try call("make folder", path, deadline) { reply in
      unsafe nfs_mkdir2_async(context, path, Int32(mode), cnfs_take, reply)
    }
  }

  public func remove(folder path: String, deadline: Double) throws(NFSError) {
    unsafe try call("remove folder", path, deadline) { reply in unsafe nfs_rmdir_async(context, path, cnfs_take, reply)
    }
  }

  private func openFile(_ path: String, _ flags: Int32, mode: UInt32, _ deadline: Double) throws(NFSError)
    -> OpaquePointer
  {
    let reply = unsafe try call("open", path, kind: .handle, deadline) { reply in
      unsafe nfs_open2_async(context, path, flags, Int32(mode), cnfs_take, reply)
    }
    guard let file = unsafe reply.handle else { throw NFSError(.refused, errno: EIO, "open \(path): no file came") }
    return OpaquePointer(file)
  }

  private func close(_ file: OpaquePointer, _ path: String, _ deadline: Double) throws(NFSError) {
    guard !isBroken else { return }
    unsafe try call("close", path, deadline) { reply in unsafe nfs_close_async(context, file, cnfs_take, reply) }
  }

  private var libraryMessage: String {
    guard let message = unsafe nfs_get_error(context) else { return "" }
    return unsafe String(cString: message)
  }

  @discardableResult
  private func call(
    _ what: String, _ path: String, kind: Kind = .plain, into buffer: UnsafeMutableRawBufferPointer? = nil,
    _ deadline: Double, _ begin: (UnsafeMutableRawPointer) -> Int32
  ) throws(NFSError) -> cnfs_reply {
    precondition(!isBroken, "an NFS connection is used after it was lost")
    // On the heap: an answer that comes when the context is destroyed must still find it. It is few bytes, and freed then.
    let reply = unsafe ReplyBox.allocate()
    unsafe reply.pointee.kind = kind.rawValue
    unsafe reply.pointee.buffer = buffer?.baseAddress
    unsafe reply.pointee.capacity = buffer?.count ?? 0
    replies.append(unsafe ReplyBox(reply))
    guard unsafe begin(UnsafeMutableRawPointer(reply)) == 0 else {
      isBroken = true
      throw NFSError(.disconnected, "\(what) \(path): \(libraryMessage)")
    }
    let limit = min(deadline, BootClock.seconds() + answerSeconds)
    switch unsafe cnfs_wait(context, reply, limit) {
    case Int32(CNFS_DONE): break
    case Int32(CNFS_TIMED_OUT):
      isBroken = true
      unsafe reply.pointee.kind = Kind.plain.rawValue
      throw NFSError(.timedOut, "\(what) \(path): no answer came in time")
    default:
      isBroken = true
      unsafe reply.pointee.kind = Kind.plain.rawValue
      throw NFSError(.disconnected, "\(what) \(path): \(libraryMessage)")
    }
    let result = unsafe reply.pointee
    replies.removeLast()
    guard unsafe result.status < 0 else { return unsafe result }
    let code = unsafe -result.status
    // What libnfs says of requests that were not answered because the connection went.
    guard code != EFAULT, code != EINTR else {
      isBroken = true
      throw NFSError(.disconnected, errno: code, "\(what) \(path): \(libraryMessage)")
    }
    throw NFSError(
      .refused, errno: code, "\(what) \(path): \(unsafe String(cString: strerror(code))): \(libraryMessage)")
  }

  private enum Kind {
    case plain, handle, stat, bytes

    var rawValue: Int32 {
      switch self {
      case .plain: Int32(CNFS_PLAIN)
      case .handle: Int32(CNFS_HANDLE)
      case .stat: Int32(CNFS_STAT)
      case .bytes: Int32(CNFS_BYTES)
      }
    }
  }

  /// Of calls that were not over when the connection was given up; they live as long as the context.
  private var replies: [ReplyBox] = []
}

/// Owns the memory of one reply.
@safe
private final class ReplyBox {
  private let pointer: UnsafeMutablePointer<cnfs_reply>

  static func allocate() -> UnsafeMutablePointer<cnfs_reply> {
    let pointer = UnsafeMutablePointer<cnfs_reply>.allocate(capacity: 1)
    unsafe pointer.initialize(to: cnfs_reply())
    return unsafe pointer
  }

  init(_ pointer: UnsafeMutablePointer<cnfs_reply>) { unsafe self.pointer = pointer }
  deinit { unsafe pointer.deallocate() }
}

extension NFSMount.Status {
  fileprivate init(_ stat: nfs_stat_64) {
    device = stat.nfs_dev
    inode = stat.nfs_ino
    size = stat.nfs_size
    modifiedNanoseconds = Int64(clamping: stat.nfs_mtime) &* 1_000_000_000 &+ Int64(clamping: stat.nfs_mtime_nsec)
    isRegular = stat.nfs_mode & 0o170000 == 0o100000
    isFolder = stat.nfs_mode & 0o170000 == 0o040000
  }
}
