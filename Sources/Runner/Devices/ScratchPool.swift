import Synchronization

/// Buffers of one size that are used again; there are as many as threads have needed at once.
final class ScratchPool: Sendable {
  private struct Free: @unchecked Sendable {
    // Sendable: whoever takes a buffer out has it alone.
    var buffers: [UnsafeMutableRawBufferPointer] = []
  }
  private let free = Mutex(Free())
  private let length: Int

  init(length: Int) { self.length = length }

  deinit { free.withLock { $0.buffers.forEach { $0.deallocate() } } }

  func withBuffer<R>(_ body: (UnsafeMutableRawBufferPointer) throws -> R) rethrows -> R {
    let buffer =
      free.withLock { $0.buffers.popLast() }
      ?? UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 4096)
    defer { free.withLock { $0.buffers.append(buffer) } }
    return try body(buffer)
  }
}
