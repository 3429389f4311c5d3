import DroverModel
import Glibc
import LinuxSystem
import Synchronization
import TestKit
import Testing

extension EndToEnd {
  /// Policies with a real daemon, the real process that runs them, and scripts that mean no good.
  @Suite struct PolicyTests {
    private static let hostile = [
      "while true do end", "while true do pcall(function() while true do end end) end",
      "return ('a'):rep(200):find(('a?'):rep(60) .. ('a'):rep(60) .. 'b')",
      "local s = 'x' while true do s = s .. s end", "return { name = ('x'):rep(100 * 1024 * 1024) }",
      "local t = {} t.t = t return t", "return io.open('/etc/passwd')", "os.exit()", "return load('return {}')()",
      "local a = ('x'):rep(7000000) local b = a .. 'y' while true do if b < a then return {} end end",
      "table.move({}, 1, math.maxinteger - 1, 2)",
      "xpcall(function() while true do end end, function() while true do end end)",
    ]

    /// No parser is quick with this: nothing but the end of its process stops it in time.
    private static let slowToParse =
      (0..<3).map { part in
        "local function f\(part)() " + (0..<30_000).map { "::l\($0)::" }.joined() + " end "
      }.joined() + "return { api = 1, naming = function() return {} end }"

    private func write(_ host: DroverHost, _ name: String, _ text: String) throws {
      try Folder.create(host.folder("hooks"), permissions: 0o755)
      try Folder.writeDurably(host.folder("hooks/\(name)"), Array(text.utf8), permissions: 0o644)
    }

    @Test(.timeLimit(.minutes(3))) func namesLabelsAndReloading() throws {
      let host = try DroverHost(hooks: true, start: false)
      try write(
        host, "mine.lua",
        """
        return { api = 1,
          naming = function(ctx) return { name = ctx.source.name .. "-dated" } end,
          labels = function(ctx) print("asked") return { set = { size = tostring(ctx.source.size) } } end }
        """)
      // The clock of a machine that is busy with other tests says nothing about a script.
      try Folder.writeDurably(host.folder("drover.yaml"), Array("policy: { deadline: 20s }\n".utf8))
      try host.start()
      let image = try TestImage.make(host.folder("parrot.img"), size: 4 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path).code == 0)
      let list = try host.run("hook", "list")
      #expect(list.code == 0 && list.out.contains("mine.lua") && list.out.contains("naming,labels"))
      let trial = try host.run("hook", "test", "naming", "--live", "backingimage/parrot", "-o", "json")
      #expect(trial.code == 0 && trial.json["result"] == "parrot-dated" && trial.json["repeatable"] == true)
      #expect(try host.run("hook", "test", "labels").out.contains("asked"))

      let backup = try host.run("backup", "create", "image", "parrot", "--label", "usecase=test", "--wait")
      #expect(backup.out == "backupbackingimage/parrot-dated created\n", "\(backup)")
      let status = try host.status("backupbackingimage", "parrot-dated")
      #expect(status["labels"] == ["usecase": "test", "size": .string(String(4 << 20))])
      let job = try #require(try host.jobs(of: "parrot-dated").first)
      #expect(job["status"]?["decisions"]?.array?.map { $0["point"] } == ["naming", "labels"])
      // The same again is the same object, whatever the policy says by now.
      try write(host, "mine.lua", "\nreturn { api = 1, naming = 7 }")
      let again = try host.run("backup", "create", "image", "parrot", "--label", "usecase=test", "--wait")
      #expect(again.out == "backupbackingimage/parrot-dated unchanged\n")
      let hooks = try host.run("status", "-o", "json").json["hooks"]?.array?.first
      #expect(hooks?["active"] == true && hooks?["points"] == ["naming", "labels"])
      #expect(hooks?["error"]?["message"]?.string?.contains("naming must be a function") == true)
    }

    @Test(.timeLimit(.minutes(3))) func theDaemonAnswersWhileHostileScriptsRun() async throws {
      let host = try DroverHost(hooks: true)
      let image = try TestImage.make(host.folder("parrot.img"), size: 1 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path).code == 0)
      let pulse = Pulse(host.socket)
      for (number, body) in Self.hostile.enumerated() {
        try write(
          host, "bad.lua", "local function f(ctx) \(body) end return { api = 1, naming = f, labels = f }")
        #expect(try host.apply(Manifest.clone("copy\(number)", of: "parrot"), wait: false).code == 0)
        let trial = try host.run("hook", "test", "naming")
        #expect(trial.code == 1, "\(body): \(trial)")
      }
      // Each of these is taken up only if its top level ends.
      for source in ["while true do end", Self.slowToParse, "return {}", "\u{1b}Lua", "return { api = 1, naming = "] {
        try write(host, "worse.lua", source)
        #expect(try host.run("hook", "list").code == 0)
      }
      #expect(try host.run("hook", "list").out.contains("worse.lua"))
      let backup = try host.run("backup", "create", "image", "parrot", "--wait")
      #expect(backup.out == "backupbackingimage/parrot created\n" && backup.err.contains("warning"), "\(backup)")
      let decisions = try #require(try host.jobs(of: "parrot").first { $0["status"]?["type"] == "backup" })["status"]?[
        "decisions"]
      #expect(decisions?.array?.map { $0["fallback"] } == [true, true])

      // Within a second; on a machine that is busy with other tests at least in most cases.
      let waits = try await pulse.stop()
      #expect(waits.count > 10)
      #expect(waits.sorted()[waits.count / 2] < 1, "\(waits)")
      #expect(try #require(waits.max()) < 20)
      // The good ones go on.
      try write(host, "bad.lua", "return { api = 1, naming = function() return { name = 'good' } end }")
      try Folder.remove(file: host.folder("hooks/worse.lua"))
      try host.until("the good one is taken up", within: 60) {
        try host.run("hook", "test", "naming", "-o", "json").json["result"] == "good"
      }
    }
  }

  /// Asks the daemon for its version again and again, and notes how long each answer took.
  private final class Pulse: Sendable {
    private let state = Monitor((waits: [Double](), isOver: false, failure: SystemError?.none))
    private let ended = Mutex(false)

    init(_ socket: String) {
      try! SystemThread.start("pulse") { [self] in
        while !state.withLock({ $0.isOver }) {
          do {
            let start = BootClock.seconds()
            let connection = try UnixClient.connect(socket)
            try UnixClient.send(
              Array("GET /v1/version HTTP/1.1\r\nHost: drover\r\nConnection: close\r\n\r\n".utf8), to: connection)
            var buffer = [UInt8](repeating: 0, count: 1024)
            guard recv(connection.descriptor, &buffer, buffer.count, 0) > 0 else {
              throw SystemError("recv", path: socket, errno: errno)
            }
            state.withLock { $0.waits.append(BootClock.seconds() - start) }
          } catch {
            state.withLock { $0.failure = error as? SystemError ?? SystemError("ask", errno: EIO) }
          }
          _ = state.wait(atMost: 0.05) { $0.isOver ? true : nil }
        }
        ended.withLock { $0 = true }
      }
    }

    /// Seconds of each answer.
    func stop() async throws -> [Double] {
      state.change { $0.isOver = true }
      try await eventually("the last answer") { self.ended.withLock { $0 } }
      return try state.withLock { state in
        if let failure = state.failure { throw failure }
        return state.waits
      }
    }
  }
}
