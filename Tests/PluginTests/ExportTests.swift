import ChildProtocol
import DroverModel
import Foundation
import LinuxSystem
import TestKit
import Testing

/// The program itself: real clients, kills, and every way in which it may end.
@Suite(.serialized, .enabled(if: BuiltProducts.path("drover-export") != nil, "this build has no export"))
struct ExportTests {
  static func fault(_ body: () throws -> Void) -> Fault? {
    do { try body() } catch { return error as? Fault }
    return nil
  }

  @Test func whatIsWrittenIsThereAndDetachingEndsIt() throws {
    let export = try RunningExport()
    let info = try export.client.info()
    #expect(info.name == "data" && info.volume == "0a0b0c0d" && info.pid == export.child.process.pid)
    #expect(info.version == DroverVersion.current && info.size == 8 << 20 && !info.readOnly && info.failure == nil)
    // The daemon is gone from here on.
    export.child.channel.shutDown()
    let written = try export.qemu(
      "write -P 0x11 0 1M", "write -P 0x22 512 512", "write -P 0x33 70000 3", "write -z 8192 512",
      "write -f -P 0x44 2M 64k",
      "write -z -u 3M 1M", "discard 4M 1M", "flush", "read -P 0x22 512 512", "read -P 0x33 70000 3",
      "read -P 0 8192 512")
    #expect(written.status == 0 && !written.output.contains("failed"), "\(written.output)")
    try export.detach()
    var expected = [UInt8](repeating: 0, count: 8 << 20)
    func fill(_ range: Range<Int>, _ byte: UInt8) { for index in range { expected[index] = byte } }
    fill(0..<(1 << 20), 0x11)
    fill(512..<1024, 0x22)
    fill(70000..<70003, 0x33)
    fill(8192..<8704, 0)
    fill((2 << 20)..<((2 << 20) + 65536), 0x44)
    let isSame = try export.bytes() == expected
    #expect(isSame)
    #expect(try Folder.list(export.folder("run")) == [])
    #expect(Self.fault { _ = try export.client.info() }?.code == .notFound)
    #expect(export.log.contains("serving data at") && export.log.contains("detached"))
  }

  @Test func othersReadAndCompare() throws {
    let export = try RunningExport()
    var noise = Noise(seed: 9)
    let content = noise.bytes(5 << 20) + [UInt8](repeating: 0, count: 3 << 20)
    try Folder.writeDurably(export.folder("content"), content)
    let copied = try export.run("nbdcopy", [export.folder("content"), export.uri])
    #expect(copied.status == 0, "\(copied.output)")
    let compared = try export.run(
      "qemu-img", ["compare", "-f", "raw", "-F", "raw", export.folder("content"), export.uri])
    #expect(compared.status == 0, "\(compared.output)")
    let told = try export.run("nbdinfo", [export.uri])
    for text in ["can_fast_zero: true", "can_trim: true", "can_fua: true", "can_multi_conn: true"] {
      #expect(told.output.contains(text), "\(told.output)")
    }
    let converted = try export.run(
      "qemu-img", ["convert", "-n", "-f", "raw", "-O", "raw", export.folder("content"), export.uri])
    #expect(converted.status == 0, "\(converted.output)")
    try export.detach()
    let isSame = try export.bytes() == content
    #expect(isSame)
  }

  /// What was flushed before a kill is there, and the next export starts over what the killed one left.
  @Test func aKill() throws {
    let folder = try RunningExport.makeFolder()
    let order = try RunningExport.order(folder)
    for round in 1...3 {
      let export = try RunningExport(folder, order)
      let written = try export.qemu("write -P \(round) \(round)M 64k", "flush")
      #expect(written.status == 0 && !written.output.contains("failed"), "\(written.output)")
      try export.kill()
      #expect(try Folder.list(folder("run")).count == 2)
      let bytes = try export.bytes()
      for old in 1...round { #expect(bytes[old << 20] == UInt8(old) && bytes[(old << 20) + 65535] == UInt8(old)) }
    }
    let export = try RunningExport(folder, order)
    #expect(try export.qemu("read -P 3 3M 64k").output.contains("ops"))
    try export.detach()
  }

  @Test func twoOfOneVolume() throws {
    let export = try RunningExport()
    var other = export.order
    other.socket = export.folder("run/other.sock")
    other.controlSocket = export.folder("run/other.control")
    let refused = Self.fault { _ = try RunningExport(export.folder, other) }
    #expect(refused?.code == .locked && refused?.retry == .transient)
    #expect(try Folder.list(export.folder("run")).count == 2)
    #expect(try export.client.info().failure == nil)
    try export.detach()
    // The lock is free as soon as that was answered.
    try RunningExport(export.folder, other).detach()
  }

  /// Whoever starts it goes away: before it has an order, before it serves, and after.
  @Test func theStarterGoes() throws {
    let early = try RunningExport.start()
    early.channel.shutDown()
    #expect(try early.process.wait() == .code(0))
    let folder = try RunningExport.makeFolder()
    for _ in 0..<5 {
      let child = try RunningExport.start()
      try child.channel.send(try RunningExport.order(folder))
      // It either has not served yet and ends, or it has and stays.
      child.channel.shutDown()
      let client = ExportClient(folder("run/data.control"))
      let hasEnded: Bool = try until("it ends or serves", within: 60) {
        if (try? client.info())?.pid == child.process.pid { return false }
        return Self.isOver(child.process.pid) ? true : nil
      }
      if !hasEnded { try client.detach() }
      _ = try child.process.wait()
    }
    let export = try RunningExport(folder, try RunningExport.order(folder))
    export.child.channel.shutDown()
    #expect(try export.qemu("write -P 1 0 4k").status == 0)
    #expect(try export.client.info().pid == export.child.process.pid)
    try export.detach()
  }

  /// A zombie, which the test has not waited for yet, is over.
  private static func isOver(_ pid: Int32) -> Bool {
    guard let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) else { return true }
    return stat.split(separator: ")").last?.hasPrefix(" Z") == true
  }

  @Test func aTermSignalDetaches() throws {
    let export = try RunningExport()
    #expect(try export.qemu("write -P 7 0 512").status == 0)
    export.child.process.kill(15)
    #expect(try export.child.process.wait() == .code(0))
    #expect(try export.bytes()[511] == 7)
    #expect(try Folder.list(export.folder("run")) == [])
  }

  /// Clients that are in the middle of something, or only there, do not keep it.
  @Test func clientsWhileItIsDetached() throws {
    let export = try RunningExport()
    let idle = try UnixStream.connect(export.order.socket)
    let clients = try (0..<2).map { _ in try UnixStream.connect(export.order.socket) }
    try until("they are connected", within: 60) { try export.client.info().clients == 3 }
    try export.detach()
    withExtendedLifetime((idle, clients)) {}
  }

  /// A client that is just writing is left, and everything is closed in order; so it is where one is killed.
  @Test(arguments: [15, 9] as [Int32]) func whileAClientWrites(_ signal: Int32) throws {
    let folder = try RunningExport.makeFolder()
    let order = try RunningExport.order(folder)
    let export = try RunningExport(folder, order)
    let client = Process()
    client.executableURL = URL(filePath: "/usr/bin/env")
    client.arguments = [
      "timeout", "120", "qemu-img", "bench", "-w", "-f", "raw", "-d", "16", "-s", "4096", "-c", "100000000",
      "--pattern=7", export.uri,
    ]
    client.standardOutput = FileHandle.nullDevice
    client.standardError = FileHandle.nullDevice
    try client.run()
    try until("it writes", within: 60) { try export.bytes()[0] == 7 }
    export.child.process.kill(signal)
    #expect(try export.child.process.wait() == (signal == 9 ? .signal(9) : .code(0)))
    client.terminate()
    client.waitUntilExit()
    let again = try RunningExport(folder, order)
    let read = try again.qemu("read -P 7 0 4k")
    #expect(read.output.contains("ops") && !read.output.contains("failed"), "\(read.output)")
    try again.detach()
  }

  /// Two clients that write neighbouring sectors of one block lose nothing of each other's.
  @Test func neighboursInOneBlock() async throws {
    let export = try RunningExport()
    try await withThrowingTaskGroup(of: String.self) { group in
      for client in 0..<4 {
        let commands = (0..<64).map { "write -P \(client + 1) \($0 * 4096 + client * 512) 512" }
        group.addTask {
          try export.run("qemu-io", ["-f", "raw"] + commands.flatMap { ["-c", $0] } + [export.uri]).output
        }
      }
      for try await output in group { #expect(!output.contains("failed"), "\(output)") }
    }
    try export.detach()
    let bytes = try export.bytes()
    for block in 0..<64 {
      for client in 0..<4 {
        let at = block * 4096 + client * 512
        let isSame = bytes[at..<(at + 512)].allSatisfy { $0 == UInt8(client + 1) }
        #expect(isSame, "block \(block), client \(client)")
      }
    }
  }

  @Test func aFullDisk() throws {
    let export = try RunningExport()
    _ = try export.client.command("set", ["full": true], within: 60)
    let failed = try export.qemu("write 0 4k", "write 8k 4k", "write 16k 512")
    #expect(failed.output.contains("No space left"), "\(failed.output)")
    #expect(export.log.components(separatedBy: "the disk is full").count == 2, "\(export.log)")
    #expect(try export.client.info().lastFailure?.code == .noSpace)
    #expect(try export.client.info().failure == nil)
    _ = try export.client.command("set", within: 60)
    #expect(try !export.qemu("write -P 5 0 4k", "flush").output.contains("failed"))
    try export.detach()
    #expect(try export.bytes()[0] == 5)
  }

  /// After a flush that failed nothing pretends to be safe.
  @Test func aBrokenDisk() throws {
    let export = try RunningExport()
    _ = try export.client.command("set", ["broken": true], within: 60)
    #expect(try export.qemu("write -P 1 0 4k", "flush").output.contains("Input/output error"))
    _ = try export.client.command("set", within: 60)
    #expect(try export.qemu("write -P 1 0 4k").output.contains("Input/output error"))
    #expect(try export.qemu("read 0 4k").output.contains("ops"))
    #expect(try export.client.info().failure?.message.contains("flush") == true)
    #expect(Self.fault { try export.client.detach() }?.code == .io)
    #expect(try export.client.info().failure != nil)
    #expect(Self.fault { try export.client.detach(isForced: true) }?.code == .io)
    #expect(try export.child.process.wait() == .code(1))
    #expect(try Folder.list(export.folder("run")) == [])
  }

  @Test func aDeviceThatHangsIsTold() throws {
    let folder = try RunningExport.makeFolder()
    let export = try RunningExport(folder, try RunningExport.order(folder, hangSeconds: 1))
    _ = try export.client.command("set", ["stuck": true], within: 60)
    let client = Process()
    client.executableURL = URL(filePath: "/usr/bin/env")
    client.arguments = ["qemu-io", "-f", "raw", "-c", "read 0 4k", export.uri]
    client.standardOutput = FileHandle.nullDevice
    try client.run()
    try until("it says so", within: 60) { try export.client.info().failure?.code == .hung }
    _ = try export.client.command("set", within: 60)
    client.waitUntilExit()
    try until("it has passed", within: 60) { try export.client.info().failure == nil }
    try export.detach()
  }

  /// Plain bytes at the socket, ciphertext on the disk: sectors of 512 bytes over blocks of 4 KiB.
  @Test(
    .enabled(if: Cryptsetup.program != nil && BuiltProducts.path("libdrover-stage-crypto.so") != nil, "no cryptsetup"))
  func anEncryptedDisk() throws {
    let folder = TemporaryFolder("export")
    let passphrase = Array("correct horse".utf8)
    var plain = [UInt8](repeating: 0x5A, count: 1 << 20)
    try Cryptsetup.image(folder("disk"), of: plain, passphrase)
    let order = try RunningExport.order(folder) { order in
      order.from.append(.init("crypto", .filter, [:]))
      order.pluginFolders.append(BuiltProducts.folder)
      order.secretNames = [.init(stage: 1, name: "passphrase")]
    }
    let wrong = Self.fault { _ = try RunningExport(folder, order, secrets: [SecretBytes("wrong")]) }
    #expect(wrong?.code == .wrongKey, "\(String(describing: wrong))")
    let export = try RunningExport(folder, order, secrets: [SecretBytes("correct horse")])
    // A guest may make an encrypted disk of its own, header first.
    try Folder.writeDurably(
      folder("header"), Array("LUKS".utf8) + [0xBA, 0xBE, 0, 1] + [UInt8](repeating: 0, count: 504))
    let done = try export.qemu(
      "read -P 0x5A 0 1M", "write -s \(folder("header")) 0 512", "write -P 0x11 1536 512", "write -P 0x22 100000 7",
      "write -z 8192 4096", "flush", "read -P 0x22 100000 7", "read -P 0x5A 100007 100", "read -P 0 8192 4096")
    #expect(done.status == 0 && !done.output.contains("failed"), "\(done.output)")
    try export.detach()
    plain.replaceSubrange(0..<512, with: try Folder.readFile(folder("header"), limit: 512))
    plain.replaceSubrange(1536..<2048, with: repeatElement(0x11, count: 512))
    plain.replaceSubrange(100_000..<100_007, with: repeatElement(0x22, count: 7))
    plain.replaceSubrange(8192..<12288, with: repeatElement(0, count: 4096))
    let again = try RunningExport(folder, order, secrets: [SecretBytes("correct horse")])
    let copied = try again.run("nbdcopy", [again.uri, folder("out")])
    #expect(copied.status == 0, "\(copied.output)")
    try again.detach()
    let isSame = try Folder.readFile(folder("out"), limit: 2 << 20) == plain
    #expect(isSame)
    #expect(!export.log.contains("horse"))
    // And the ciphertext is really there.
    let disk = try Folder.readFile(folder("disk"), limit: 8 << 20)
    #expect(disk[(2 << 20)..<((2 << 20) + 512)].first != plain[0] || disk[(2 << 20) + 1] != plain[1])
  }

  @Test func readOnly() throws {
    let folder = try RunningExport.makeFolder()
    let export = try RunningExport(folder, try RunningExport.order(folder, readOnly: true))
    #expect(try export.client.info().readOnly)
    let refused = try export.qemu("write 0 4k")
    #expect(refused.status != 0 || refused.output.contains("ermi") || refused.output.contains("read-only"))
    let read = try export.run("qemu-io", ["-r", "-f", "raw", "-c", "read -P 0 100 1000", export.uri])
    #expect(read.output.contains("ops"), "\(read.output)")
    try export.detach()
  }

  @Test func commands() throws {
    let export = try RunningExport()
    #expect(try export.qemu("discard 5000 20000").status == 0)
    #expect(try export.client.command("count", within: 60)["trims"] == 1)
    #expect(Self.fault { _ = try export.client.command("paint", within: 60) }?.code == .notSupported)
    #expect(Self.fault { _ = try export.client.command("mute", within: 60) }?.code == .pluginMisbehaved)
    for (line, code) in [
      (#"{"version":2,"verb":"info"}"#, "not-supported"), (#"{"verb":"info"}"#, "invalid"),
      (#"{"version":1}"#, "invalid"), ("x", "invalid"), ("[]", "invalid"),
    ] {
      let stream = try UnixStream.connect(export.order.controlSocket)
      // In two pieces, and another line behind it.
      try stream.send(String(line.prefix(1)))
      try stream.send(String(line.dropFirst()) + "\n" + #"{"version":1,"verb":"info"}"# + "\n")
      let first = try #require(try stream.line())
      #expect(first.contains(#""code":"\#(code)""#), "\(first)")
      #expect(try stream.line()?.contains("0a0b0c0d") == true)
    }
    let endless = try UnixStream.connect(export.order.controlSocket)
    try? endless.send(String(repeating: "x", count: 2 << 20))
    #expect((try? endless.line()) ?? nil == nil)
    try export.detach()
  }

  @Test func whatCanNotBeServed() throws {
    let folder = try RunningExport.makeFolder()
    func refusal(_ change: (inout ExportOrder) -> Void) throws -> Fault? {
      let order = try RunningExport.order(folder, change: change)
      return Self.fault { _ = try RunningExport(folder, order) }
    }
    #expect(try refusal { $0.from[0].stage = "nothing" }?.code == .unknownStage)
    #expect(try refusal { $0.from[0].params["path"] = "/nonexistent" }?.code == .notFound)
    #expect(try refusal { $0.from = [] }?.code == .invalid)
    #expect(try refusal { $0.secretNames = [.init(stage: 0, name: "key")] }?.code == .internalError)
    #expect(try refusal { $0.socket = "/tmp/" + String(repeating: "x", count: 120) }?.code == .invalid)
    try Folder.writeDurably(folder("taken"), [1])
    #expect(try refusal { $0.socket = folder("taken") }?.code == .inUse)
    #expect(try Folder.readFile(folder("taken"), limit: 10) == [1])
    // None of them has kept the lock.
    try RunningExport(folder, try RunningExport.order(folder)).detach()
  }
}

/// A bare connection.
private final class UnixStream {
  private let stream: StreamSocket
  private var rest: [UInt8] = []

  private init(_ stream: StreamSocket) { self.stream = stream }

  static func connect(_ path: String) throws -> UnixStream {
    UnixStream(try StreamSocket.connect(path, within: 60))
  }

  func send(_ text: some StringProtocol) throws {
    try Array(text.utf8).withUnsafeBytes { try stream.write($0) }
  }

  func line() throws -> String? {
    try stream.readLine(limit: 1 << 20, within: 60, rest: &rest).map { String(decoding: $0, as: UTF8.self) }
  }
}
