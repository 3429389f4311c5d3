import Glibc

/// One end of a stream socket; owns its descriptor and closes it when the last reference goes.
///
/// Every call blocks. One thread may read while another writes; two that read, or two that write, must take turns.
public final class StreamSocket: Sendable {
  public let descriptor: Int32

  /// Takes over the descriptor.
  public init(adopting descriptor: Int32) { self.descriptor = descriptor }

  deinit { Glibc.close(descriptor) }

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
