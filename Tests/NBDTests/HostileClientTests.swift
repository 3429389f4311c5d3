import Foundation
import LinuxSystem
import NBD
import Synchronization
import TestKit
import Testing

/// What a client may do wrong, and that it harms nobody else.
@Suite struct HostileClientTests {
  private func stillServes(_ served: Served) throws {
    let client = try RawClient(served.socket)
    #expect(client.negotiate() == served.device.size)
    client.send(client.request(0, offset: 0, length: 4096))
    #expect(client.reply() == 0)
    let isSame = same(client.receive(4096), Array(served.device.bytes[..<4096]))
    #expect(isSame)
  }

  static let openings: [[UInt8]] = {
    func be<N: FixedWidthInteger>(_ n: N) -> [UInt8] { withUnsafeBytes(of: n.bigEndian) { Array($0) } }
    let flags = be(UInt32(3))
    let magic = Array("IHAVEOPT".utf8)
    return [
      Array("GET / HTTP/1.1\r\n\r\n".utf8), be(UInt32(0xffff_ffff)), be(UInt32(4)),
      flags + Array("IHAVEOPX".utf8) + be(UInt32(7)) + be(UInt32(0)), flags + magic + be(UInt32(7)) + be(UInt32.max),
      flags + magic + be(UInt32(1)) + be(UInt32(1 << 20)),
      // An export that is not there.
      flags + magic + be(UInt32(1)) + be(UInt32(4)) + Array("none".utf8),
      flags + [UInt8](repeating: 0xff, count: 4096),
    ]
  }()

  @Test(arguments: openings) func aBadBeginning(_ bytes: [UInt8]) throws {
    let served = try Served(MemoryDevice(), name: "disk")
    let client = try RawClient(served.socket)
    _ = client.receive(18)
    client.send(bytes)
    #expect(client.isLeft())
    try stillServes(served)
    #expect(served.stop())
  }

  @Test func optionsThatCanNotBe() throws {
    let served = try Served(MemoryDevice(), name: "disk")
    let client = try RawClient(served.socket)
    _ = client.receive(18)
    client.send(client.be(UInt32(3)))
    func asked(_ number: UInt32, _ data: [UInt8]) -> UInt32? {
      client.send(client.option(number, data))
      return client.optionReply()?.kind
    }
    let name = { (text: String) in client.be(UInt32(text.utf8.count)) + Array(text.utf8) }
    #expect(asked(99, [1, 2, 3]) == 0x8000_0001)
    #expect(asked(5, []) == 0x8000_0002)
    #expect(asked(3, [0]) == 0x8000_0003)
    #expect(asked(8, [0]) == 0x8000_0003)
    #expect(asked(7, []) == 0x8000_0003)
    #expect(asked(7, client.be(UInt32.max) + client.be(UInt16(0))) == 0x8000_0003)
    #expect(asked(7, name("") + client.be(UInt16(9))) == 0x8000_0003)
    #expect(asked(7, name("") + client.be(UInt16(0)) + [0]) == 0x8000_0003)
    #expect(asked(7, name("other") + client.be(UInt16(0))) == 0x8000_0006)
    // Contexts before structured replies; queries without end; a query that is cut off.
    #expect(asked(10, name("") + client.be(UInt32(1)) + name("base:allocation")) == 0x8000_0003)
    #expect(asked(9, name("") + client.be(UInt32.max)) == 0x8000_0003)
    #expect(asked(9, name("") + client.be(UInt32(1)) + client.be(UInt32(500))) == 0x8000_0003)
    #expect(asked(9, name("none") + client.be(UInt32(0))) == 0x8000_0006)
    // And after all that it can still go on as it should.
    #expect(asked(8, []) == 1)
    client.send(client.option(10, name("disk") + client.be(UInt32(2)) + name("x:y") + name("base:allocation")))
    #expect(client.optionReply()?.kind == 4)
    #expect(client.optionReply()?.kind == 1)
    #expect(asked(2, []) == 1)
    #expect(client.isLeft())
  }

  @Test func requestsThatCanNotBe() throws {
    let device = MemoryDevice()
    let served = try Served(device)
    let client = try RawClient(served.socket)
    #expect(client.negotiate() == device.size)
    func asked(_ bytes: [UInt8]) -> UInt32? {
      client.send(bytes)
      return client.reply()
    }
    #expect(asked(client.request(0, offset: device.size, length: 1)) == 22)
    #expect(asked(client.request(0, offset: .max, length: .max)) == 22)
    #expect(asked(client.request(0, offset: .max - 10, length: 11)) == 22)
    #expect(asked(client.request(0, offset: 0, length: 0)) == 22)
    #expect(asked(client.request(0, offset: 0, length: 4096, flags: 0x8000)) == 22)
    #expect(asked(client.request(77, offset: 0, length: 4096)) == 22)
    #expect(asked(client.request(7, offset: 0, length: 4096)) == 22)
    #expect(asked(client.request(4, offset: 0, length: 4096)) == 1)
    #expect(asked(client.request(6, offset: 0, length: 4096)) == 1)
    // Its data is taken out of the way.
    #expect(asked(client.request(1, offset: 0, length: 100_000) + [UInt8](repeating: 1, count: 100_000)) == 1)
    #expect(asked(client.request(3, offset: 0, length: 0)) == 0)
    #expect(asked(client.request(5, offset: 0, length: 4096)) == 0)
    client.send(client.request(1, offset: 0, length: .max))
    #expect(client.isLeft())
    try stillServes(served)
  }

  @Test func garbageInTheMiddle() throws {
    let served = try Served(MemoryDevice(isWritable: true))
    let before = served.device.bytes
    var noise = Noise(seed: 3)
    for round in 0..<30 {
      let client = try RawClient(served.socket)
      _ = client.negotiate()
      if round % 2 == 0 { client.send(client.request(0, offset: 0, length: 4096)) }
      client.send(noise.bytes(28 + round * 7))
      #expect(client.isLeft())
    }
    // A client that goes in the middle of what it writes.
    let client = try RawClient(served.socket)
    _ = client.negotiate()
    client.send(client.request(1, offset: 0, length: 4096) + [1, 2, 3])
    shutdown(client.descriptor, Int32(SHUT_WR))
    #expect(client.isLeft())
    let isSame = same(served.device.bytes, before)
    #expect(isSame)
    try stillServes(served)
  }

  /// One that asks for much and reads nothing, beside one that is served all the same; and the server ends.
  @Test func aClientThatDoesNotRead() throws {
    let served = try Served(MemoryDevice(blocks: 200))
    let greedy = try RawClient(served.socket)
    _ = greedy.negotiate()
    for cookie in UInt64(0)..<60 { greedy.send(greedy.request(0, offset: 0, length: 8 << 20, cookie: cookie)) }
    for _ in 0..<5 { try stillServes(served) }
    #expect(served.stop())
  }

  /// A write is announced and its data never comes, or half of it: the client is left, and nothing was written.
  @Test(arguments: [0, 27, 4095, 1 << 20]) func aWriteWithoutItsData(_ sent: Int) throws {
    let served = try Served(MemoryDevice(isWritable: true), patience: 0.3)
    let before = served.device.bytes
    let client = try RawClient(served.socket)
    _ = client.negotiate()
    client.send(client.request(1, offset: 0, length: sent < 4096 ? 4096 : 2 << 20))
    client.send([UInt8](before[..<sent]))
    #expect(client.isLeft())
    let isSame = same(served.device.bytes, before)
    #expect(isSame)
    try stillServes(served)
    #expect(served.stop())
  }

  @Test func aThousandConnectionsInTurn() throws {
    let served = try Served(MemoryDevice())
    for number in 0..<1000 {
      let client = try RawClient(served.socket)
      switch number % 4 {
      case 0: continue
      case 1: #expect(client.receive(18).count == 18)
      case 2: #expect(client.negotiate() == served.device.size)
      default:
        #expect(client.negotiate() == served.device.size)
        client.send(client.request(0, offset: 0, length: 512))
        #expect(client.reply() == 0)
      }
    }
    try stillServes(served)
    #expect(served.stop())
  }

  /// Many requests at once, in pieces that end anywhere, are each answered once.
  @Test func requestsInOddPieces() throws {
    let served = try Served(MemoryDevice(isWritable: true, tail: 0))
    var noise = Noise(seed: 11)
    let client = try RawClient(served.socket)
    _ = client.negotiate()
    var expected = served.device.bytes
    var stream: [UInt8] = []
    for number in 0..<200 {
      let data = noise.bytes(512 + number * 37)
      let at = number * 8192
      stream += client.request(1, offset: UInt64(at), length: UInt32(data.count), cookie: UInt64(number)) + data
      expected.replaceSubrange(at..<(at + data.count), with: data)
    }
    var rest = stream[...]
    while !rest.isEmpty {
      let piece = rest.prefix(1 + Int(noise.bytes(2).reduce(0) { $0 << 8 | UInt64($1) }) % 9000)
      client.send(Array(piece))
      rest = rest.dropFirst(piece.count)
    }
    var cookies: Set<[UInt8]> = []
    for _ in 0..<200 {
      let reply = client.receive(16)
      #expect(reply.count == 16 && Array(reply[4..<8]) == [0, 0, 0, 0])
      cookies.insert(Array(reply.suffix(8)))
    }
    #expect(cookies.count == 200)
    let isSame = same(served.device.bytes, expected)
    #expect(isSame)
  }

  /// Zeros are fast where there are none to be made, refused at once elsewhere, and nothing is changed by that.
  @Test func fastZeros() throws {
    let served = try Served(MemoryDevice(isWritable: true, tail: 0))
    let before = served.device.bytes
    let client = try RawClient(served.socket)
    _ = client.negotiate()
    func asked(_ offset: Int, _ flags: UInt16) -> UInt32? {
      client.send(client.request(6, offset: UInt64(offset), length: 65536, flags: flags))
      return client.reply()
    }
    #expect(asked(0, 16) == 95)
    #expect(asked(2 * MemoryDevice.block, 16) == 0)
    #expect(asked(2 * MemoryDevice.block, 16 | 2) == 95)
    #expect(asked(before.count - 65535, 16) == 28)
    var isSame = same(served.device.bytes, before)
    #expect(isSame)
    #expect(asked(0, 2) == 0)
    isSame = served.device.bytes[..<65536].allSatisfy { $0 == 0 }
    #expect(isSame)
  }

  /// Clients that only connect can't keep others out for ever, and never beyond their number.
  @Test func moreClientsThanAreServed() async throws {
    let served = try Served(MemoryDevice())
    var clients = try (0..<NBDServer.mostClients).map { _ in try RawClient(served.socket) }
    for client in clients { #expect(client.receive(18).count == 18) }
    let late = try RawClient(served.socket)
    #expect(late.isLeft())
    #expect(served.complaints.withLock { $0.contains { $0.contains("\(NBDServer.mostClients) are served") } })
    clients = []
    try await eventually("a place is free") {
      let client = try RawClient(served.socket)
      return client.negotiate() == served.device.size
    }
    #expect(served.stop())
  }
}
