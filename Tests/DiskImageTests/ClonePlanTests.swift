import CloneStage
import LinuxSystem
import StageKit
import TestKit
import Testing

@Suite struct ClonePlanTests {
  let shop = Workshop()

  func plan(_ below: Plan?) throws -> Plan {
    try #require(try CloneStage.plan(shop.request(), below: below, host: shop.host))
  }

  @Test func dataNeedsSpaceAndHolesNeedNone() throws {
    let plan = try plan(Plan(size: 10 << 20, dataSize: 3 << 20))
    #expect(plan.space == 3 << 20 && plan.size == 10 << 20 && plan.dataSize == 3 << 20)
    #expect(plan.spacePath == shop.folder.path)
    #expect(try Folder.list(shop.folder.path) == [])
    #expect(try self.plan(Plan(size: 10 << 20)).space == 10 << 20)
  }

  @Test func whatHasNoSizeYetIsNotCounted() throws {
    #expect(try plan(Plan()).space == 0)
    #expect(try plan(nil).space == 0)
    #expect(try plan(Plan()).size == nil)
  }

  @Test func whatAnEarlierAttemptHasTakenIsNotCountedAgain() throws {
    let device = try shop.open()
    try shop.write(noise(2 << 20), to: device)
    device.close()
    let plan = try plan(Plan(size: 10 << 20, dataSize: 3 << 20))
    #expect(plan.space <= 1 << 20 && plan.space > (1 << 20) - (64 << 10))
    #expect(plan.spacePath == shop.folder("images"))
    #expect(try self.plan(Plan(size: 1 << 20, dataSize: 1 << 20)).space == 0)
  }

  @Test func aReflinkNeedsNone() throws {
    let source = Workshop()
    try source.make(noise(2 << 20))
    let below = Plan(size: 2 << 20, dataSize: 2 << 20, filePath: source.image)
    let shares = Folder.offersReflink(shop.folder.path)
    #expect(try plan(below).space == (shares ? 0 : 2 << 20))
    // Without a checksum that is known, the bytes are copied by hand to compute it.
    try Folder.remove(file: source.place + "/backing.cfg")
    #expect(try plan(below).space == 2 << 20)
  }
}
