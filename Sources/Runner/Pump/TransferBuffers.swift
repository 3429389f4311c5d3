import LinuxSystem

/// The memory of a copy: buffers of one size, each of which belongs to one thread at a time.
final class TransferBuffers: @unchecked Sendable {
  // Sendable: a buffer's memory is only touched by whoever took it.
  private let length: Int
  private let state: Monitor<State>

  private struct State {
    var unmade: Int
    var made: [UnsafeMutableRawBufferPointer] = []
    var free: [UnsafeMutableRawBufferPointer] = []
    var isShut = false
  }

  init(count: Int, length: Int) {
    self.length = length
    state = Monitor(State(unmade: count))
  }

  deinit { for buffer in state.withLock({ $0.made }) { buffer.deallocate() } }

  /// Aligned to pages. Blocks until one is free; nil once they were shut.
  func take() -> UnsafeMutableRawBufferPointer? {
    state.wait { [length] state -> UnsafeMutableRawBufferPointer?? in
      if state.isShut { return .some(nil) }
      if let buffer = state.free.popLast() { return buffer }
      guard state.unmade > 0 else { return nil }
      state.unmade -= 1
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: length, alignment: 4096)
      state.made.append(buffer)
      return buffer
    }
  }

  func giveBack(_ buffer: UnsafeMutableRawBufferPointer) { state.change { $0.free.append(buffer) } }

  /// Nobody waits any more.
  func shut() { state.change { $0.isShut = true } }
}

/// Bytes in a buffer that another thread may read until it gives the buffer back.
struct LentBytes: @unchecked Sendable {
  // Sendable: nobody writes to them meanwhile.
  let bytes: UnsafeRawBufferPointer
  private let buffer: UnsafeMutableRawBufferPointer
  private let buffers: TransferBuffers

  init(_ bytes: UnsafeRawBufferPointer, in buffer: UnsafeMutableRawBufferPointer, of buffers: TransferBuffers) {
    self.bytes = bytes
    self.buffer = buffer
    self.buffers = buffers
  }

  func giveBack() { buffers.giveBack(buffer) }
}
