import LinuxSystem
import TestKit
import Testing

@Suite struct ListeningSocketTests {
  private let folder = TemporaryFolder("socket")

  @Test func takesClientsAndGuardsItsPlace() throws {
    let path = folder("s.sock")
    var listener: ListeningSocket? = try ListeningSocket.bind(path, permissions: 0o600)
    #expect(try FileStatus.of(path)?.permissions == 0o600)
    #expect(try listener?.accept(waiting: 0.01) == nil)
    #expect(try SocketFile.answers(path))
    let client = try #require(try listener?.accept(waiting: 30))
    _ = OpenFile(adopting: client, path: "client")
    #expect(throws: SystemError.self) { try ListeningSocket.bind(path, permissions: 0o600) }
    listener = nil
    // What a listener left that has died is nobody's.
    let next = try ListeningSocket.bind(path, permissions: 0o640)
    #expect(try FileStatus.of(path)?.permissions == 0o640)
    withExtendedLifetime(next) {}
    try Folder.writeDurably(folder("file"), [1])
    #expect(throws: SystemError.self) { try ListeningSocket.bind(folder("file"), permissions: 0o600) }
    #expect(try Folder.readFile(folder("file"), limit: 10) == [1])
  }
}
