import LinuxSystem
import TestKit
import Testing

@Suite struct FolderTests {
  let folder = TemporaryFolder("folder")

  @Test func existenceHasThreeAnswers() throws {
    #expect(try FileStatus.of(folder.path)?.isFolder == true)
    #expect(try FileStatus.of(folder("absent/below")) == nil)
    // A name that is too long can be neither there nor not there: nobody knows.
    #expect(throws: SystemError.self) { try FileStatus.of(folder(String(repeating: "x", count: 300))) }
  }

  @Test func aDurableWriteReplacesAndLeavesNothingBeside() throws {
    try Folder.writeDurably(folder("file"), Array("one".utf8))
    try Folder.writeDurably(folder("file"), Array("two".utf8), permissions: 0o600)
    #expect(try Folder.readFile(folder("file"), limit: 10) == Array("two".utf8))
    #expect(try Folder.list(folder.path) == ["file"])
    #expect(try FileStatus.of(folder("file"))?.permissions == 0o600)
  }

  @Test func aDurableWriteThatFailsLeavesNothingBeside() throws {
    try Folder.create(folder("taken/inside"))
    #expect(throws: SystemError.self) { try Folder.writeDurably(folder("taken"), [1]) }
    #expect(try Folder.list(folder.path) == ["taken"])
  }

  @Test func aFileThatIsTooLongIsNotRead() throws {
    try Folder.writeDurably(folder("file"), [1, 2, 3])
    let error = #expect(throws: SystemError.self) { try Folder.readFile(folder("file"), limit: 2) }
    #expect(error?.isNoSpace == true)
  }

  @Test func removingATreeDoesNotFollowLinks() throws {
    try Folder.create(folder("outside"))
    try Folder.writeDurably(folder("outside/kept"), [1])
    try Folder.create(folder("tree/a/b"))
    let process = try ChildProcess.spawn(
      "/bin/ln", arguments: ["ln", "-s", folder("outside"), folder("tree/a/link")], environment: [:], descriptors: [])
    #expect(try process.wait() == .code(0))
    try Folder.removeTree(folder("tree"))
    try Folder.removeTree(folder("tree"))
    #expect(try Folder.list(folder.path) == ["outside"])
    #expect(try Folder.list(folder("outside")) == ["kept"])
  }

  @Test func renameNewDoesNotReplace() throws {
    try Folder.writeDurably(folder("a"), [1])
    try Folder.writeDurably(folder("b"), [2])
    #expect(throws: SystemError.self) { try Folder.renameNew(folder("a"), folder("b")) }
    #expect(try Folder.readFile(folder("b"), limit: 1) == [2])
    try Folder.renameNew(folder("a"), folder("c"))
    #expect(try Folder.list(folder.path) == ["b", "c"])
  }

  @Test func whatIsAboveIsMadeOnlyWhereAskedFor() throws {
    let folder = TemporaryFolder("folder")
    let error = #expect(throws: SystemError.self) { try Folder.create(folder("a/b"), parents: false) }
    #expect(error?.isAbsent == true)
    #expect(try Folder.list(folder.path) == [])
    try Folder.create(folder("a/b"))
    try Folder.create(folder("a/b/c"), parents: false)
    #expect(try Folder.list(folder("a/b")) == ["c"])
  }

  @Test func parents() {
    #expect(Folder.parent(of: "/a/b") == "/a")
    #expect(Folder.parent(of: "/a/b/") == "/a")
    #expect(Folder.parent(of: "/a") == "/")
    #expect(Folder.parent(of: "a") == ".")
  }
}

@Suite struct ChildProcessTests {
  @Test func descriptorsArriveUnderTheirNewNumbersAndNoOthers() throws {
    let (read, write) = try Pipe.make()
    let (otherRead, otherWrite) = try Pipe.make()
    // 3 and 4 trade places with whatever the pipes have; whatever lies above must be closed.
    let child = try ChildProcess.spawn(
      "/bin/sh", arguments: ["sh", "-c", "echo four >&4; echo three >&3; ls /proc/self/fd | wc -l >&3; echo $A >&3"],
      environment: ["A": "b", "PATH": "/usr/bin:/bin"], descriptors: [(write, 3), (otherWrite, 4)])
    let writeEnd = OpenFile(adopting: write, path: "pipe")
    let otherEnd = OpenFile(adopting: otherWrite, path: "pipe")
    #expect(try child.wait() == .code(0))
    func text(_ descriptor: Int32) -> String {
      var bytes = [UInt8](repeating: 0, count: 1000)
      let count = bytes.withUnsafeMutableBytes { systemRead(descriptor, $0) }
      return String(decoding: bytes[..<count], as: UTF8.self)
    }
    #expect(text(otherRead) == "four\n")
    // 0, 1, 2, 3, 4 and the folder that ls reads.
    #expect(text(read) == "three\n6\nb\n")
    withExtendedLifetime((writeEnd, otherEnd)) {}
    _ = OpenFile(adopting: read, path: "pipe")
    _ = OpenFile(adopting: otherRead, path: "pipe")
  }

  @Test func exitStatusTellsCodeAndSignal() throws {
    let failed = try ChildProcess.spawn(
      "/bin/sh", arguments: ["sh", "-c", "exit 7"], environment: [:], descriptors: [])
    #expect(try failed.wait() == .code(7))
    let killed = try ChildProcess.spawn(
      "/bin/sh", arguments: ["sh", "-c", "kill -9 $$"], environment: [:], descriptors: [])
    #expect(try killed.wait() == .signal(9))
  }

  @Test func aProgramThatIsNotThereIsAnError() {
    #expect(throws: SystemError.self) {
      try ChildProcess.spawn("/absent/program", arguments: ["program"], environment: [:], descriptors: [])
    }
  }
}
