import Glibc
import LinuxSystem
import Synchronization

/// Why a conversation ends: the client has gone, kept silent in the middle of something, or does not speak the protocol.
enum Parting: Error {
  case gone
  case silent
  case nonsense(String)
}

/// One client's stream. One thread reads; any number write, whole messages in turn.
final class ClientSocket: Sendable {
  private let descriptor: Int32
  private let writing = Mutex(())

  /// Takes over the descriptor, a blocking one.
  init(adopting descriptor: Int32) { self.descriptor = descriptor }

  deinit { close(descriptor) }

  /// Fills the buffer. False: the stream ended before its first byte.
  /// - Parameters:
  ///   - idle: Seconds that may pass before the first byte; nil: as many as the client likes.
  ///   - patience: Seconds that may pass between two bytes.
  func read(
    into buffer: UnsafeMutableRawBufferPointer, idle: Double?, patience: Double
  ) throws(Parting) -> Bool {
    var done = 0
    while done < buffer.count {
      guard try wait(for: POLLIN, seconds: done == 0 ? idle : patience) else { throw .silent }
      let count = recv(descriptor, buffer.baseAddress! + done, buffer.count - done, Int32(MSG_DONTWAIT))
      if count == 0 {
        if done == 0 { return false }
        throw .gone
      }
      if count > 0 { done += count } else if errno != EAGAIN, errno != EINTR { throw .gone }
    }
    return true
  }

  /// Writes the parts one behind the other, with nothing of another thread's between them. Waits as long as the client
  /// does not read: only its own threads wait.
  func write(_ parts: [UnsafeRawBufferPointer]) throws(Parting) {
    let isWritten = writing.withLock { _ in parts.allSatisfy(send) }
    if !isWritten { throw .gone }
  }

  func write(_ bytes: WireBytes) throws(Parting) {
    let isWritten = writing.withLock { _ in bytes.bytes.withUnsafeBytes(send) }
    if !isWritten { throw .gone }
  }

  /// Holds others back while several messages are written, which `body` does by its argument.
  func writing<R>(_ body: ((UnsafeRawBufferPointer) -> Bool) throws -> R) rethrows -> R {
    try writing.withLock { _ in try body(send) }
  }

  private func send(_ part: UnsafeRawBufferPointer) -> Bool {
    var done = 0
    while done < part.count {
      let count = Glibc.send(descriptor, part.baseAddress! + done, part.count - done, Int32(MSG_NOSIGNAL))
      if count < 0, errno == EINTR { continue }
      if count <= 0 { return false }
      done += count
    }
    return true
  }

  private func wait(for event: Int32, seconds: Double?) throws(Parting) -> Bool {
    var entry = pollfd(fd: descriptor, events: Int16(event), revents: 0)
    while true {
      let count = poll(&entry, 1, seconds.map { Int32($0 * 1000) } ?? -1)
      if count > 0 { return true }
      if count == 0 { return false }
      if errno != EINTR { throw .gone }
    }
  }

  /// Whoever is blocked here wakes, and reads the end.
  func shutDown() { _ = shutdown(descriptor, Int32(SHUT_RDWR)) }
}
