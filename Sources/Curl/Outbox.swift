import CCurl
import Glibc

/// Feeds a request's body to libcurl from a descriptor, and never blocks in it: when the descriptor has nothing,
/// libcurl pauses and the driver of the transfer waits for both.
@safe
final class Outbox {
  let descriptor: Int32
  private let size: Int64?
  private let sent: (Int64) -> Void
  private var total: Int64 = 0
  /// The descriptor had nothing when libcurl asked last.
  var isPaused = false
  var sawActivity = false
  private(set) var failure: CurlError?

  init(descriptor: Int32, size: Int64?, sent: @escaping (Int64) -> Void) {
    self.descriptor = descriptor
    self.size = size
    self.sent = sent
  }

  func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
    let wanted = size.map { Int(min(Int64(buffer.count), $0 - total)) } ?? buffer.count
    guard wanted > 0 else { return 0 }
    guard isReadable(milliseconds: 0) else {
      isPaused = true
      return ccurl_read_pause
    }
    var count = -1
    repeat { count = unsafe Glibc.read(descriptor, buffer.baseAddress, wanted) } while count < 0 && errno == EINTR
    let code = errno
    if count < 0 && code == EAGAIN {
      isPaused = true
      return ccurl_read_pause
    }
    guard count >= 0 else {
      failure = CurlError(.bodySource, "read: \(unsafe String(cString: strerror(code)))", systemError: code)
      return ccurl_read_abort
    }
    if count == 0, let size, total < size {
      failure = CurlError(.bodySource, "the input ended after \(total) of \(size) bytes")
      return ccurl_read_abort
    }
    total += Int64(count)
    sawActivity = true
    sent(total)
    return count
  }

  /// Also true when reading would answer at once with the end or an error.
  func isReadable(milliseconds: Int32) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    return unsafe poll(&entry, 1, milliseconds) > 0
  }
}
