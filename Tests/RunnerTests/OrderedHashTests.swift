import CDroverPlugin
import LinuxSystem
import TestKit
import Testing

@testable import Runner

/// The tap of a copy: whatever order the claims come in, the hash sees them in theirs.
@Suite struct OrderedHashTests {
  private static let block = Int(DROVER_HASH_BLOCK)

  /// Fills a buffer with bytes of its own and lends it to the hash.
  private func lend(_ number: Int, of buffers: TransferBuffers) -> LentBytes? {
    guard let buffer = buffers.take() else { return nil }
    for index in buffer.indices { buffer[index] = UInt8(truncatingIfNeeded: index &* 31 &+ number &* 7 &+ index >> 9) }
    return LentBytes(UnsafeRawBufferPointer(buffer), in: buffer, of: buffers)
  }

  @Test func claimsInAnyOrderGiveOneAnswer() throws {
    let count = 12
    let buffers = TransferBuffers(count: count, length: Self.block)
    var expected = ImageHasher()
    let hash = OrderedHash()
    try hash.start(check: {}, failed: { _ in Issue.record("it failed") })
    var order = (0..<count).map { $0 }
    var generator = Noise(seed: 7)
    order.shuffle(using: &generator)
    var pieces: [Int: LentBytes] = [:]
    for number in 0..<count {
      if number % 4 == 3 {
        try expected.addZeros(3 << 20) {}
        continue
      }
      let piece = try #require(lend(number, of: buffers))
      expected.add(piece.bytes)
      pieces[number] = piece
    }
    for number in order {
      if let piece = pieces[number] {
        #expect(hash.add(piece, hash.prepare(piece.bytes, at: 0), ticket: UInt64(number)))
      } else {
        #expect(hash.addZeros(3 << 20, ticket: UInt64(number)))
      }
    }
    hash.close()
    let wanted = expected.finish()
    #expect(hash.finish() == wanted)
  }

  /// A thread that is far ahead sleeps, and one whose turn it is never does.
  @Test func whoIsFarAheadWaits() throws {
    let hash = OrderedHash()
    try hash.start(check: {}, failed: { _ in })
    let isIn = Monitor(false)
    let ahead = ThreadGroup()
    try ahead.start("ahead") {
      if hash.addZeros(4096, ticket: 16) { isIn.change { $0 = true } }
    }
    for ticket in (1..<16).reversed() { #expect(hash.addZeros(4096, ticket: UInt64(ticket))) }
    #expect(!isIn.withLock { $0 })
    #expect(hash.addZeros(4096, ticket: 0))
    ahead.join()
    #expect(isIn.withLock { $0 })
    hash.close()
    var zeros = ImageHasher()
    try zeros.addZeros(17 * 4096) {}
    let wanted = zeros.finish()
    #expect(hash.finish() == wanted)
  }

  @Test func shuttingWakesWhoWaits() throws {
    let buffers = TransferBuffers(count: 1, length: 4096)
    let hash = OrderedHash()
    try hash.start(check: {}, failed: { _ in })
    let waiting = ThreadGroup()
    let answers = Monitor<[Bool]>([])
    let held = try #require(buffers.take())
    try waiting.start("buffer") { answers.change { [isThere = buffers.take() != nil] in $0.append(isThere) } }
    try waiting.start("turn") { answers.change { [isIn = hash.addZeros(1, ticket: 99)] in $0.append(isIn) } }
    hash.shut()
    buffers.shut()
    waiting.join()
    hash.close()
    #expect(answers.withLock { $0 } == [false, false])
    buffers.giveBack(held)
    #expect(buffers.take() == nil)
  }

  @Test func whatGivesUpIsTold() throws {
    struct GivenUp: Error {}
    let hash = OrderedHash()
    let failure = Monitor<(any Error)?>(nil)
    try hash.start(check: { throw GivenUp() }, failed: { error in failure.change { $0 = error } })
    #expect(hash.addZeros(1 << 20, ticket: 0))
    let told = failure.wait(atMost: 60) { $0 }
    #expect(told is GivenUp)
    hash.shut()
    hash.close()
  }
}
