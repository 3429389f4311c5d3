import Glibc
import LinuxSystem
import StageKit

/// The pipe or socket between the daemon and a stage. Waits in small steps, so that a cancelled job ends at once, and
/// gives up on a client that does nothing for too long. Used by one thread at a time.
final class ClientStream {
  /// The client is on this host and may well be a program that computes for a while, so it gets ten times as long as a
  /// network before its silence counts as its end.
  static let patience = 10

  private let file: OpenFile
  private let patienceSeconds: Int
  private let host: any Host

  /// Takes over the descriptor.
  init(descriptor: Int32, patienceSeconds: Int, host: any Host) throws {
    guard descriptor > 2, fcntl(descriptor, F_GETFD) >= 0 else {
      throw StageError("upload-interrupted", "descriptor \(descriptor) is not open: the client's stream has gone")
    }
    let flags = fcntl(descriptor, F_GETFL)
    _ = fcntl(descriptor, F_SETFL, flags | O_NONBLOCK)
    file = OpenFile(adopting: descriptor, path: "the client's stream")
    self.patienceSeconds = patienceSeconds
    self.host = host
  }

  /// Reads until the buffer is full or the stream ends; returns the bytes read.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var done = 0
    while done < buffer.count {
      let count = Glibc.read(file.descriptor, buffer.baseAddress! + done, buffer.count - done)
      if count == 0 { break }
      if count > 0 { done += count } else { try afterError("read", until: POLLIN) }
    }
    return done
  }

  func write(_ buffer: UnsafeRawBufferPointer) throws {
    var done = 0
    while done < buffer.count {
      // The host leaves SIGPIPE ignored.
      let count = Glibc.write(file.descriptor, buffer.baseAddress! + done, buffer.count - done)
      if count >= 0 { done += count } else { try afterError("write", until: POLLOUT) }
    }
  }

  /// Waits for the end of the stream; a further byte is an error.
  func expectEnd(after size: UInt64) throws {
    let more = try withUnsafeTemporaryAllocation(byteCount: 1, alignment: 1) { try read(into: $0) }
    guard more == 0 else {
      throw StageError("upload-interrupted", "more than the announced \(size) bytes were uploaded")
    }
  }

  private func afterError(_ operation: String, until event: Int32) throws {
    switch errno {
    case EINTR: return
    case EAGAIN, EWOULDBLOCK: try wait(until: event)
    case let code:
      throw StageError(
        "upload-interrupted", SystemError("\(operation) on", path: file.path, errno: code).description,
        systemError: code)
    }
  }

  private func wait(until event: Int32) throws {
    let start = BootClock.seconds()
    while true {
      if host.isCancelled { throw StageError.cancelled }
      var entry = pollfd(fd: file.descriptor, events: Int16(event), revents: 0)
      // Also on POLLHUP and POLLERR: the next call says what it is.
      if poll(&entry, 1, 250) > 0 { return }
      guard BootClock.seconds() - start < Double(patienceSeconds) else {
        throw StageError("upload-interrupted", "the client moved no byte for \(patienceSeconds) s")
      }
    }
  }
}
