import DroverModel
import LinuxSystem
import TestKit
import Testing

@testable import Engine

struct SpaceLedgerTests {
  /// `/a…` is one file system with 1000 bytes free, everything else another with 50.
  private func room(_ path: String) throws(Fault) -> SpaceLedger.Room {
    path.hasPrefix("/a") ? .init(device: 1, freeBytes: 1000) : .init(device: 2, freeBytes: 50)
  }

  private func admit(
    _ ledger: inout SpaceLedger, _ job: String, _ path: String, _ bytes: Int64, unwritten: [String: Int64] = [:]
  ) -> Fault? {
    do throws(Fault) {
      try ledger.admit(job, [.init(path: path, bytes: bytes)], room: room, unwritten: { unwritten[$0] })
      return nil
    } catch { return error }
  }

  @Test func promisesAddUpByFileSystem() {
    var ledger = SpaceLedger(reserveBytes: 0)
    #expect(admit(&ledger, "one", "/a/x", 600) == nil)
    let second = admit(&ledger, "two", "/a/y", 600)
    #expect(second?.code == .noSpace)
    #expect(second?.retry == .transient)
    #expect(admit(&ledger, "two", "/b", 50) == nil)
    #expect(admit(&ledger, "three", "/a/y", 400) == nil)
    ledger.release("one")
    #expect(admit(&ledger, "four", "/a/y", 600) == nil)
  }

  @Test func whatNeverFitsIsSaidAtOnce() {
    var ledger = SpaceLedger(reserveBytes: 0)
    #expect(admit(&ledger, "one", "/a/x", 1001)?.retry == .never)
  }

  @Test func theReserveIsKept() {
    var ledger = SpaceLedger(reserveBytes: 300)
    #expect(admit(&ledger, "one", "/a", 701)?.retry == .never)
    #expect(admit(&ledger, "one", "/a", 700) == nil)
    #expect(admit(&ledger, "two", "/b", 1)?.retry == .never)
    #expect(admit(&ledger, "two", "/b", 0) == nil)
  }

  @Test func whatIsWrittenAlreadyIsNotPromisedAgain() {
    var ledger = SpaceLedger(reserveBytes: 0)
    #expect(admit(&ledger, "one", "/a", 900) == nil)
    #expect(admit(&ledger, "two", "/a", 500)?.retry == .transient)
    #expect(admit(&ledger, "two", "/a", 500, unwritten: ["one": 400]) == nil)
  }

  @Test func twoFoldersOfOneFileSystemCountTogether() {
    var ledger = SpaceLedger(reserveBytes: 0)
    #expect(throws: Fault.self) {
      try ledger.admit("one", [.init(path: "/a/x", bytes: 600), .init(path: "/a/y", bytes: 600)], room: room)
    }
  }

  @Test func aSecondAdmissionOfAJobReplacesTheFirst() {
    var ledger = SpaceLedger(reserveBytes: 0)
    #expect(admit(&ledger, "one", "/a", 900) == nil)
    #expect(admit(&ledger, "one", "/a", 800) == nil)
    #expect(ledger.promised(on: 1, unwritten: { _ in nil }) == 800)
  }

  @Test func theSystemIsAskedAboutTheFolderAboveOneThatIsNotThere() throws {
    let folder = TemporaryFolder("ledger")
    let there = try SpaceLedger.room(at: folder.path)
    #expect(try SpaceLedger.room(at: folder("not/yet")).device == there.device)
    #expect(there.freeBytes > 0)
  }
}
