import Glibc
import LinuxSystem
import Synchronization

/// Why a conversation ends: the client has gone, kept silent in the middle of something, or does not speak the protocol.
enum Parting: Error {
  case gone
  case silent
  case nonsense(String)
}

/// One client's stream. One thread at a time reads; any number write, whole messages in turn.
///
/// What has arrived is taken in large pieces and kept, so that many small requests cost one call of the kernel.
final class ClientSocket: @unchecked Sendable {
  // Sendable: `kept` and its bounds are touched by the thread that reads, one at a time; the rest never changes.
  private let descriptor: Int32
  private let writing = Mutex(())
  private let kept = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 4096)
  private var begin = 0
  private var end = 0
  /// Whether the last `read` found its first byte there already: the client sends more than one request at a time.
  private(set) var wasWaitedFor = false

  /// From so many bytes on they go straight to where they are wanted.
  private static let direct = 4096

  /// Takes over the descriptor, a blocking one.
  init(adopting descriptor: Int32) { self.descriptor = descriptor }

  deinit {
    close(descriptor)
    kept.deallocate()
  }

  /// Whether something was received that is not read yet.
  var hasMore: Bool { begin < end }

  /// Fills the buffer. False: the stream ended before its first byte.
  /// - Parameters:
  ///   - idle: Seconds that may pass before the first byte; nil: as many as the client likes.
  ///   - patience: Seconds that may pass between two bytes.
  func read(
    into buffer: UnsafeMutableRawBufferPointer, idle: Double?, patience: Double
  ) throws(Parting) -> Bool {
    wasWaitedFor = true
    var done = take(into: buffer)
    while done < buffer.count {
      let rest = UnsafeMutableRawBufferPointer(rebasing: buffer[done...])
      let isDirect = rest.count >= Self.direct
      guard let count = try receive(isDirect ? rest : kept, seconds: done == 0 ? idle : patience) else { throw .silent }
      if count == 0 {
        if done == 0 { return false }
        throw .gone
      }
      if isDirect {
        done += count
      } else {
        (begin, end) = (0, count)
        done += take(into: rest)
      }
    }
    return true
  }

  private func take(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    let count = min(end - begin, buffer.count)
    guard count > 0 else { return 0 }
    buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: kept[begin..<(begin + count)]))
    begin += count
    return count
  }

  /// Nil: nothing came in time; 0: the end.
  private func receive(_ buffer: UnsafeMutableRawBufferPointer, seconds: Double?) throws(Parting) -> Int? {
    var flags = Int32(MSG_DONTWAIT)
    while true {
      let count = recv(descriptor, buffer.baseAddress!, buffer.count, flags)
      if count >= 0 { return count }
      if errno == EINTR { continue }
      guard errno == EAGAIN, flags != 0 else { throw .gone }
      wasWaitedFor = false
      if let seconds {
        guard try wait(seconds: seconds) else { return nil }
      } else {
        flags = 0
      }
    }
  }

  private func wait(seconds: Double) throws(Parting) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
    while true {
      let count = poll(&entry, 1, Int32(seconds * 1000))
      if count > 0 { return true }
      if count == 0 { return false }
      if errno != EINTR { throw .gone }
    }
  }

  /// Writes a message and the data that belongs to it, with nothing of another thread's between them. Waits as long as
  /// the client does not read: only its own threads wait.
  func write(
    _ message: UnsafeRawBufferPointer, _ data: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) throws(Parting) {
    let isWritten = writing.withLock { _ in send(message, data) }
    if !isWritten { throw .gone }
  }

  func write(_ bytes: WireBytes) throws(Parting) {
    let isWritten = writing.withLock { _ in
      bytes.bytes.withUnsafeBytes { send($0, UnsafeRawBufferPointer(start: nil, count: 0)) }
    }
    if !isWritten { throw .gone }
  }

  /// Holds others back while several messages are written, which `body` does by its argument.
  func writing<R>(
    _ body: ((UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool) throws -> R
  ) rethrows -> R {
    try writing.withLock { _ in try body(send) }
  }

  private func send(_ message: UnsafeRawBufferPointer, _ data: UnsafeRawBufferPointer) -> Bool {
    var done = 0
    let all = message.count + data.count
    return withUnsafeTemporaryAllocation(of: iovec.self, capacity: 2) { parts in
      while done < all {
        var count = 0
        func add(_ part: UnsafeRawBufferPointer, from: Int) {
          guard part.count > 0, from < part.count else { return }
          let skipped = max(0, from)
          parts[count] = iovec(
            iov_base: UnsafeMutableRawPointer(mutating: part.baseAddress! + skipped), iov_len: part.count - skipped)
          count += 1
        }
        add(message, from: done)
        add(data, from: done - message.count)
        var header = msghdr()
        header.msg_iov = parts.baseAddress
        header.msg_iovlen = count
        let sent = sendmsg(descriptor, &header, Int32(MSG_NOSIGNAL))
        if sent < 0, errno == EINTR { continue }
        if sent <= 0 { return false }
        done += sent
      }
      return true
    }
  }

  /// No more requests: whoever reads finds the end behind what has arrived. Answers still go out.
  func stopReading() { _ = shutdown(descriptor, Int32(SHUT_RD)) }

  /// Whoever is blocked here wakes, and reads the end.
  func shutDown() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
}
