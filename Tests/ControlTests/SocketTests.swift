import ControlServer
import DroverModel
import Glibc
import LinuxSystem
import Logging
import TestKit
import Testing

/// Who may have the two paths, and what lies there before and after.
@Suite(.timeLimit(.minutes(5))) struct SocketTests {
  private func make(_ folder: TemporaryFolder, name: String = "drover") throws -> ControlServer {
    try ControlServer(
      engine: FakeEngine(),
      configuration: .init(
        socketPath: folder("\(name).sock"), readOnlySocketPath: folder("\(name)-ro.sock")),
      logger: Logger(label: "test"))
  }

  private func fault(_ body: () throws -> Void) -> Fault? {
    do {
      try body()
      return nil
    } catch {
      return error as? Fault
    }
  }

  @Test func bothSocketsAreForOwnerAndGroupAndGoAwayAtTheEnd() async throws {
    let folder = TemporaryFolder("control")
    try await TestServer.run(folder: folder) { server in
      for path in [server.socket, server.readOnlySocket] {
        let status = try #require(try FileStatus.of(path, followLinks: false))
        #expect(status.isSocket)
        #expect(status.permissions == 0o660)
      }
      #expect(
        try Folder.list(folder.path).sorted() == [
          "drover-ro.sock", "drover-ro.sock.lock", "drover.sock", "drover.sock.lock",
        ])
    }
    #expect(try Folder.list(folder.path).sorted() == ["drover-ro.sock.lock", "drover.sock.lock"])
  }

  @Test func theGroupIsSet() async throws {
    guard getuid() == 0 else { return print("skipped: giving a file to a group needs root here") }
    try await TestServer.run(writeGroup: "daemon") { server in
      let group = try #require(try UserGroup.id("daemon"))
      #expect(try FileStatus.of(server.socket, followLinks: false)?.group == group)
      #expect(try FileStatus.of(server.readOnlySocket, followLinks: false)?.group == getgid())
    }
  }

  @Test func anUnknownGroupIsSaidAndNothingStays() async throws {
    let folder = TemporaryFolder("control")
    await #expect {
      try await TestServer.run(folder: folder, writeGroup: "no-such-group-here") { _ in }
    } throws: { error in
      (error as? Fault)?.code == .invalid && (error as? Fault)?.message.contains("no-such-group-here") == true
    }
    #expect(try FileStatus.of(folder("drover.sock"), followLinks: false) == nil)
  }

  @Test func aSecondServerIsRefusedBeforeItBinds() async throws {
    try await TestServer.run { server in
      let inode = try FileStatus.of(server.socket)?.inode
      let refusal = fault { _ = try make(server.folder) }
      #expect(refusal?.code == .conflict)
      #expect(refusal?.message.contains(server.socket) == true)
      let same = try FileStatus.of(server.socket)?.inode
      #expect(same == inode)
      #expect(try await server.ask("GET", "/v1/version").status == 200)
    }
  }

  @Test func aPathIsFreeAgainWhenItsServerIsGone() throws {
    let folder = TemporaryFolder("control")
    do { _ = try make(folder) }
    _ = try make(folder)
  }

  @Test func aStaleSocketIsReplaced() async throws {
    let folder = TemporaryFolder("control")
    try bindAndLeave(folder("drover.sock"))
    let stale = try FileStatus.of(folder("drover.sock"))?.inode
    try await TestServer.run(folder: folder) { server in
      let fresh = try FileStatus.of(server.socket)?.inode
      #expect(fresh != stale)
      #expect(try await server.ask("GET", "/v1/version").status == 200)
    }
  }

  @Test func aSocketOnWhichSomebodyElseAnswersIsLeftAlone() throws {
    let folder = TemporaryFolder("control")
    let listener = try bindAndLeave(folder("drover.sock"), listening: true)
    defer { close(listener) }
    #expect(fault { _ = try make(folder) }?.code == .conflict)
    #expect(try SocketFile.answers(folder("drover.sock")))
  }

  @Test func aFileThatIsNoSocketIsLeftAlone() throws {
    let folder = TemporaryFolder("control")
    try Folder.writeDurably(folder("drover.sock"), Array("precious".utf8))
    #expect(fault { _ = try make(folder) }?.code == .conflict)
    #expect(try Folder.readFile(folder("drover.sock"), limit: 100) == Array("precious".utf8))
  }

  @Test func aPathThatFitsIntoNoAddressIsRefused() throws {
    let folder = TemporaryFolder("control")
    #expect(fault { _ = try make(folder, name: String(repeating: "x", count: 120)) }?.code == .invalid)
  }

  @Test func theFolderOfTheSocketIsMade() async throws {
    let folder = TemporaryFolder("control")
    _ = try ControlServer(
      engine: FakeEngine(),
      configuration: .init(
        socketPath: folder("run/drover/d.sock"), readOnlySocketPath: folder("run/drover/d-ro.sock")),
      logger: Logger(label: "test"))
    #expect(try FileStatus.of(folder("run/drover"))?.isFolder == true)
  }

  /// Binds a socket as a daemon that was killed leaves it, or one that listens.
  @discardableResult private func bindAndLeave(_ path: String, listening: Bool = false) throws -> Int32 {
    let descriptor = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
    let code = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
      }
    }
    try #require(code == 0)
    if listening {
      try #require(listen(descriptor, 4) == 0)
    } else {
      close(descriptor)
    }
    return descriptor
  }
}
