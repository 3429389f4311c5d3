private import CSHA512
private import Glibc
private import LinuxSystem

/// Hashes blocks for many threads, several side by side in the lanes of the vector unit where the processor has them
/// (`CSHA512`), else by libcrypto.
///
/// A thread that comes while another one hashes waits for the next batch, with all that come meanwhile: the more there is
/// to hash, the less each block costs. A block that comes alone is hashed at once.
@safe public final class BlockHasher: Sendable {
  private let state = Monitor(State())
  private let lanes: Int
  /// At once. One for a few cores: the others have the rest of the work to do.
  private let batches: Int

  private struct State: ~Copyable {
    var waiting: [Request] = []
    var running = 0
  }

  /// One thread's block. The thread waits until it is done, so the bytes stay.
  @safe private final class Request: @unchecked Sendable {
    // Sendable: `isDone` is only touched with the monitor's lock held.
    let block: UnsafeRawBufferPointer
    let digest: UnsafeMutableRawPointer
    var isDone = false

    init(_ block: UnsafeRawBufferPointer, _ digest: UnsafeMutableRawPointer) {
      unsafe self.block = block
      unsafe self.digest = digest
    }

    var length: Int { unsafe block.count }
  }

  public init() {
    batches = max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN)) / 4)
    lanes = Int(drover_sha512_lane_count())
  }

  /// Hashes blocks of one length, a multiple of 128, in lanes of one width only. Nil where the processor has none of it,
  /// or less than there are blocks. For tests.
  static func hashes(of blocks: [UnsafeRawBufferPointer], avx512: Bool, lanes: Int) -> [[UInt8]]? {
    let width = avx512 ? (lanes == 8 ? DROVER_SHA512_AVX512_8 : DROVER_SHA512_AVX512_4) : DROVER_SHA512_AVX2
    guard drover_sha512_has_width(width) == 1, blocks.count <= lanes else { return nil }
    var digests = [UInt8](repeating: 0, count: blocks.count * SHA512.length)
    unsafe digests.withUnsafeMutableBufferPointer { bytes in
      let places = unsafe blocks.indices.map { index in
        unsafe bytes.baseAddress.map { unsafe $0 + index * SHA512.length }
      }
      let messages = unsafe blocks.map { unsafe $0.baseAddress?.assumingMemoryBound(to: UInt8.self) }
      unsafe drover_sha512_lanes_of(width, messages, Int32(blocks.count), blocks[0].count, places)
    }
    return blocks.indices.map { Array(digests[($0 * SHA512.length)..<(($0 + 1) * SHA512.length)]) }
  }

  /// The 32 bytes of the hash of `block`. Blocks until it is there.
  public func hash(_ block: UnsafeRawBufferPointer) -> [UInt8] {
    unsafe [UInt8](unsafeUninitializedCapacity: BlockHash.length) { buffer, count in
      unsafe hash(block, into: UnsafeMutableRawBufferPointer(buffer))
      count = BlockHash.length
    }
  }

  /// Writes the hash of `block` to the first 32 bytes of `output`. Blocks until it is there.
  public func hash(_ block: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) {
    guard lanes > 0, unsafe !block.isEmpty, unsafe block.count % Self.messageBlock == 0 else {
      return unsafe BlockHash.hash(block, into: output)
    }
    unsafe withUnsafeTemporaryAllocation(byteCount: SHA512.length, alignment: 8) { whole in
      guard let start = whole.baseAddress else { return }
      wait(for: unsafe Request(block, start))
      unsafe output.copyMemory(from: UnsafeRawBufferPointer(rebasing: whole[..<BlockHash.length]))
    }
  }

  /// Bytes that SHA-512 takes at a time; the lanes take whole ones.
  private static let messageBlock = 128

  private func wait(for request: Request) {
    state.change { $0.waiting.append(request) }
    while true {
      let batch: [Request] = state.wait { state in
        if request.isDone { return [] }
        return state.running < batches && !state.waiting.isEmpty ? take(&state) : nil
      }
      if batch.isEmpty { return }
      run(batch)
      state.change { state in
        for done in batch { done.isDone = true }
        state.running -= 1
      }
    }
  }

  /// Those that came first, of one length.
  private func take(_ state: inout State) -> [Request] {
    let length = state.waiting[0].length
    let batch = Array(state.waiting.lazy.filter { $0.length == length }.prefix(lanes))
    state.waiting.removeAll { waiting in batch.contains { $0 === waiting } }
    state.running += 1
    return batch
  }

  private func run(_ batch: [Request]) {
    if batch.count == 1 {
      let only = batch[0]
      unsafe SHA512.digest(only.block, into: UnsafeMutableRawBufferPointer(start: only.digest, count: SHA512.length))
    } else {
      let messages = unsafe batch.map { unsafe $0.block.baseAddress?.assumingMemoryBound(to: UInt8.self) }
      let digests = unsafe batch.map { unsafe Optional($0.digest.assumingMemoryBound(to: UInt8.self)) }
      unsafe drover_sha512_lanes(messages, Int32(batch.count), batch[0].length, digests)
    }
  }
}
