import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// What was running goes on after a stop, a kill and a lost worker, and ends with the same bytes.
  @Suite struct RecoveryTests {
    private static func untilBytes(_ host: DroverHost, of name: String, atLeast bytes: Int64) throws {
      try host.until("\(bytes) bytes of \(name) are there", within: 60) {
        try host.jobs(of: name).first?["status"]?["bytesDone"]?.int ?? 0 >= bytes
      }
    }

    @Test(.timeLimit(.minutes(3)), arguments: [SIGTERM, SIGKILL])
    func aDownloadGoesOnAfterTheDaemonWasStopped(signal: Int32) throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 48 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.stall("/parrot.img", after: 20 << 20)
      #expect(
        try host.apply(Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512), wait: false)
          .code
          == 0)
      try Self.untilBytes(host, of: "parrot", atLeast: 16 << 20)
      let ended = try host.stop(signal: signal)
      #expect(ended == (signal == SIGTERM ? .code(0) : .signal(SIGKILL)))
      web.release()
      try host.start()
      let waited = try host.run("wait", "backingimage/parrot", "--for", "ready", "--timeout", "60s")
      #expect(waited.code == 0, "\(waited)")
      let status = try host.status("backingimage", "parrot")
      #expect(status["checksum"]?.string == image.sha512)
      #expect(try TestImage.sha512(of: #require(status["path"]?.string)) == image.sha512)
      #expect(try host.imageFolders().count == 1)
      if signal == SIGTERM {
        // A clean stop makes a checkpoint, so only the rest was asked for.
        #expect(web.rangeStarts("/parrot.img").contains { $0 >= 16 << 20 }, "\(web.rangeStarts("/parrot.img"))")
      }
    }

    @Test(.timeLimit(.minutes(3))) func aKillLosesOnlyWhatCameAfterTheLastCheckpoint() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 144 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.drip("/parrot.img", bytes: 1 << 20)
      #expect(
        try host.apply(Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512), wait: false)
          .code == 0)
      try Self.untilBytes(host, of: "parrot", atLeast: 120 << 20)
      #expect(try host.stop(signal: SIGKILL) == .signal(SIGKILL))
      web.release()
      try host.start()
      let waited = try host.run("wait", "backingimage/parrot", "--for", "ready", "--timeout", "60s")
      #expect(waited.code == 0, "\(waited)")
      #expect(try host.status("backingimage", "parrot")["checksum"]?.string == image.sha512)
      #expect(web.rangeStarts("/parrot.img").contains { $0 >= 32 << 20 }, "\(web.rangeStarts("/parrot.img"))")
    }

    @Test(.timeLimit(.minutes(3))) func aKilledWorkerCostsOneAttempt() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 32 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.stall("/parrot.img", after: 12 << 20)
      #expect(
        try host.apply(Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512), wait: false)
          .code
          == 0)
      try Self.untilBytes(host, of: "parrot", atLeast: 8 << 20)
      let worker = try #require(try host.run("status", "-o", "json").json["workers"]?.array?.first?["pid"]?.int)
      kill(pid_t(worker), SIGKILL)
      web.release()
      let waited = try host.run("wait", "backingimage/parrot", "--for", "ready", "--timeout", "60s")
      #expect(waited.code == 0, "\(waited)")
      let job = try #require(try host.jobs(of: "parrot").first)
      #expect(job["status"]?["attempt"] == 2)
      #expect(
        try TestImage.sha512(of: #require(try host.status("backingimage", "parrot")["path"]?.string)) == image.sha512)
    }

    @Test(.timeLimit(.minutes(3))) func contentThatChangedBetweenTwoAttemptsIsNeverMixed() throws {
      let host = try DroverHost()
      let first = try TestImage.make(host.folder("1.img"), size: 32 << 20, seed: 1)
      let second = try TestImage.make(host.folder("2.img"), size: 32 << 20, seed: 2)
      let web = try Web()
      try web.serve("/parrot.img", file: first.path)
      web.stall("/parrot.img", after: 12 << 20)
      #expect(try host.apply(Manifest.download("parrot", url: web.url("/parrot.img")), wait: false).code == 0)
      try Self.untilBytes(host, of: "parrot", atLeast: 8 << 20)
      #expect(try host.stop() == .code(0))
      try web.serve("/parrot.img", file: second.path)
      web.release()
      try host.start()
      let waited = try host.run("wait", "backingimage/parrot", "--for", "ready", "--timeout", "60s")
      #expect(waited.code == 0, "\(waited)")
      #expect(try host.status("backingimage", "parrot")["checksum"]?.string == second.sha512)
    }

    @Test(.timeLimit(.minutes(3))) func pauseAndResume() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 32 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.stall("/parrot.img", after: 12 << 20)
      #expect(
        try host.apply(Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512), wait: false)
          .code
          == 0)
      try Self.untilBytes(host, of: "parrot", atLeast: 8 << 20)
      let job = try #require(try host.jobs(of: "parrot").first?["metadata"]?["name"]?.string)
      try host.succeed("job", "pause", job)
      try host.succeed("wait", "job/\(job)", "--for", "state=paused", "--timeout", "30s")
      #expect(try host.run("status", "-o", "json").json["workers"]?.array?.isEmpty == true)
      web.release()
      try host.succeed("job", "resume", job)
      let waited = try host.run("wait", "backingimage/parrot", "--for", "ready", "--timeout", "60s")
      #expect(waited.code == 0, "\(waited)")
      #expect(try host.status("backingimage", "parrot")["checksum"]?.string == image.sha512)
    }

    @Test(.timeLimit(.minutes(3))) func cancelEndsWithinSecondsAndLeavesNothing() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 32 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.stall("/parrot.img", after: 12 << 20)
      #expect(try host.apply(Manifest.download("parrot", url: web.url("/parrot.img")), wait: false).code == 0)
      try Self.untilBytes(host, of: "parrot", atLeast: 8 << 20)
      let job = try #require(try host.jobs(of: "parrot").first?["metadata"]?["name"]?.string)
      try host.succeed("job", "cancel", job)
      let waited = try host.run("wait", "job/\(job)", "--for", "state=cancelled", "--timeout", "10s")
      #expect(waited.code == 0, "\(waited)")
      try host.until("nothing is left", within: 10) { try host.imageFolders() == [] }
      web.release()
    }
  }
}
