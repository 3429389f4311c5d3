import LinuxSystem
import TestKit
import Testing

@Suite(.timeLimit(.minutes(5))) struct ServiceManagerTests {
  @Test(arguments: [true, false]) func aMessageArrivesOnPathsAndAbstractNames(isAbstract: Bool) throws {
    let folder = TemporaryFolder("notify")
    let name = isAbstract ? "@\(folder.path)" : folder("notify")
    let manager = try NotifySocket(name)
    try #require(ServiceManager(socketName: name)).notify("READY=1\nSTATUS=x")
    #expect(try manager.receive() == "READY=1\nSTATUS=x")
  }

  @Test func nobodyAsksAndNobodyListens() throws {
    #expect(ServiceManager(socketName: nil) == nil)
    #expect(ServiceManager(socketName: "") == nil)
    let folder = TemporaryFolder("notify")
    #expect(throws: SystemError.self) { try ServiceManager(socketName: folder("absent"))?.notify("READY=1") }
    #expect(throws: SystemError.self) {
      try ServiceManager(socketName: String(repeating: "x", count: 300))?.notify("READY=1")
    }
  }
}
