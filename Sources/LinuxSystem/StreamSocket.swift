import Glibc

/// One end of a stream socket; owns its descriptor and closes it when the last reference goes.
///
/// Every call blocks. One thread may read while another writes; two that read, or two that write, must take turns.
public final class StreamSocket: Sendable {
  public let descriptor: Int32

  /// Takes over the descriptor.
  public init(adopting descriptor: Int32) { self.descriptor = descriptor }

  deinit { Glibc.close(descriptor) }

  /// Connects to a unix socket. Where its queue is full, tries again until `seconds` are over (EAGAIN). A socket that nobody
  /// listens to is ECONNREFUSED.
  public static func connect(_ path: String, within seconds: Double) throws(SystemError) -> StreamSocket {
    guard var address = SocketAddress(path) else { throw SystemError("connect", path: path, errno: ENAMETOOLONG) }
    let end = BootClock.seconds() + seconds
    while true {
      let kind = Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)
      let descriptor = socket(AF_UNIX, kind, 0)
      guard descriptor >= 0 else { throw .last("socket") }
      let stream = StreamSocket(adopting: descriptor)
      let code = unsafe address.withPointer { pointer, length in
        retrying { unsafe Glibc.connect(descriptor, pointer, length) }
      }
      if code == 0 {
        guard fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) & ~O_NONBLOCK) == 0 else { throw .last("fcntl") }
        return stream
      }
      guard errno == EAGAIN, BootClock.seconds() < end else { throw .last("connect", path: path) }
      usleep(20_000)
    }
  }

  /// One line without its end, of at most `limit` bytes; nil: the other side ended before the first byte. Throws
  /// ETIMEDOUT where it is not there within so many seconds, EMSGSIZE where it is longer.
  /// - Parameter rest: What was received behind the last line; to be passed on from call to call.
  public func readLine(
    limit: Int, within seconds: Double, rest: inout [UInt8]
  ) throws(SystemError) -> [UInt8]? {
    let end = BootClock.seconds() + seconds
    while true {
      if let index = rest.firstIndex(of: UInt8(ascii: "\n")) {
        let line = Array(rest[..<index])
        rest.removeFirst(index + 1)
        return line
      }
      guard rest.count <= limit else { throw SystemError("receive a line", errno: EMSGSIZE) }
      var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      let left = end - BootClock.seconds()
      guard left > 0 else { throw SystemError("receive a line", errno: ETIMEDOUT) }
      let ready = retrying { unsafe poll(&entry, 1, Int32(min(left * 1000, 1e9)) + 1) }
      if ready < 0 { throw .last("poll") }
      if ready == 0 { continue }
      var piece = [UInt8](repeating: 0, count: 16384)
      let count = retrying { unsafe recv(descriptor, &piece, piece.count, 0) }
      if count < 0 { throw .last("receive") }
      if count == 0 {
        guard rest.isEmpty else { throw SystemError("receive a line", errno: ECONNRESET) }
        return nil
      }
      rest += piece[..<count]
    }
  }

  /// Fills the buffer unless the other side ends first; returns the bytes read, so fewer than asked for mean the end.
  public func read(into buffer: UnsafeMutableRawBufferPointer) throws(SystemError) -> Int {
    var done = 0
    while done < buffer.count {
      let count = retrying { unsafe recv(descriptor, buffer.baseAddress! + done, buffer.count - done, 0) }
      if count < 0 { throw .last("receive") }
      if count == 0 { break }
      done += count
    }
    return done
  }

  /// Sends all of it. A peer that is gone is EPIPE, never a signal.
  public func write(_ buffer: UnsafeRawBufferPointer) throws(SystemError) {
    var done = 0
    while done < buffer.count {
      let count = retrying {
        unsafe send(descriptor, buffer.baseAddress! + done, buffer.count - done, Int32(MSG_NOSIGNAL))
      }
      if count < 0 { throw .last("send") }
      done += count
    }
  }

  /// Ends both directions: the peer reads the end, and a thread that is blocked here wakes. The descriptor stays.
  public func shutDown() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }

  /// Calls on this end of a pair answer EAGAIN rather than wait; the peer's end is as it was.
  public static func setNonBlocking(_ descriptor: Int32) throws(SystemError) {
    let flags = fcntl(descriptor, F_GETFL)
    guard flags >= 0, fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 else { throw .last("fcntl") }
  }
}
