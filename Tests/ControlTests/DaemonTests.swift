import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

/// The real program, from its start to its end.
@Suite(.timeLimit(.minutes(6)), .enabled(if: BuiltProducts.path("droverd") != nil)) struct DaemonTests {
  private func serve(_ folder: TemporaryFolder, state: String = "state", socket: String = "drover.sock") -> [String] {
    ["serve", "--state", folder(state), "--socket", folder(socket)]
  }

  @Test func itSaysWhenItIsReadyAndStopsCleanlyOnSIGTERM() async throws {
    try await onThread {
      let folder = TemporaryFolder("daemon")
      let manager = try NotifySocket("@drover-test-\(folder.path)")
      let daemon = try RunningDaemon(
        folder, arguments: serve(folder), environment: ["NOTIFY_SOCKET": manager.name])
      #expect(try manager.receive().hasPrefix("READY=1\n"))
      // Ready means that it answers, without any waiting.
      for socket in ["drover.sock", "drover-ro.sock"] {
        let client = try RawClient(folder(socket))
        try client.send(RawClient.request("GET", "/v1/status"))
        let reply = try client.reply()
        #expect(reply.json?["stateFolder"]?.string == folder("state"))
        #expect(reply.json?["configuration"]?["maxJobsPerTarget"]?.int == 4)
      }
      let follower = try RawClient(folder("drover.sock"))
      try follower.send(RawClient.request("GET", "/v1/events?follow=1"))
      #expect(try follower.head().status == 200)
      daemon.process.kill(SIGTERM)
      #expect(try manager.receive() == "STOPPING=1")
      #expect(try daemon.end() == 0, "\(daemon.output)")
      #expect(try !follower.untilEnd().isEmpty)
      let left = try Folder.list(folder.path).filter { $0.hasSuffix(".sock") }
      #expect(left == [])
      #expect(daemon.output.contains("stopped"))
    }
  }

  @Test(arguments: [SIGINT, SIGHUP]) func otherSignalsThatAskForTheEnd(signal: Int32) async throws {
    try await onThread {
      let folder = TemporaryFolder("daemon")
      let daemon = try RunningDaemon(folder, arguments: serve(folder))
      try daemon.waitUntilItAnswers(folder("drover.sock"))
      daemon.process.kill(signal)
      #expect(try daemon.end() == 0)
    }
  }

  @Test func aSecondDaemonIsRefusedOnTheStateAndOnTheSocket() async throws {
    try await onThread {
      let folder = TemporaryFolder("daemon")
      let first = try RunningDaemon(folder, arguments: serve(folder))
      try first.waitUntilItAnswers(folder("drover.sock"))
      let onState = try RunningDaemon(folder, arguments: serve(folder, socket: "other.sock"), name: "second")
      #expect(try onState.end() == 5)
      #expect(onState.output.contains(folder("state")))
      let onSocket = try RunningDaemon(folder, arguments: serve(folder, state: "other"), name: "third")
      #expect(try onSocket.end() == 5)
      #expect(onSocket.output.contains(folder("drover.sock")))
      try first.waitUntilItAnswers(folder("drover.sock"))
    }
  }

  @Test func afterAKillTheNextOneTakesOver() async throws {
    try await onThread {
      let folder = TemporaryFolder("daemon")
      do {
        let killed = try RunningDaemon(folder, arguments: serve(folder))
        try killed.waitUntilItAnswers(folder("drover.sock"))
      }
      #expect(try FileStatus.of(folder("drover.sock"))?.isSocket == true)
      let next = try RunningDaemon(folder, arguments: serve(folder), name: "next")
      try next.waitUntilItAnswers(folder("drover.sock"))
      next.process.kill(SIGTERM)
      #expect(try next.end() == 0)
    }
  }

  @Test func whatIsWrongIsSaidAndHasItsExitCode() async throws {
    try await onThread {
      let folder = TemporaryFolder("daemon")
      try Folder.writeDurably(folder("typo.yaml"), Array("maxJob: 3\n".utf8))
      try Folder.writeDurably(folder("later.yaml"), Array("notify: {command: /bin/true}\n".utf8))
      try Folder.writeDurably(folder("group.yaml"), Array("groups:\n  write: no-such-group-here\n".utf8))
      for (arguments, code, words) in [
        (["--version"], 0, "droverd "), (["serve", "--help"], 0, "--state"), (["serve", "--bogus"], 2, "--bogus"),
        (["bogus"], 2, "bogus"), (["serve", "--log-level", "loud"], 2, "loud"),
        (serve(folder) + ["--config", folder("typo.yaml")], 2, "maxJobs"),
        (serve(folder) + ["--config", folder("later.yaml")], 2, "not supported"),
        (serve(folder) + ["--config", folder("absent.yaml")], 4, "absent.yaml"),
        (serve(folder) + ["--config", folder("group.yaml")], 2, "no-such-group-here"),
        (serve(folder, socket: String(repeating: "x", count: 120)), 2, "socket path"),
      ] as [([String], Int32, String)] {
        let daemon = try RunningDaemon(folder, arguments: arguments, name: "run")
        #expect(try daemon.end() == code, "\(arguments): \(daemon.output)")
        #expect(daemon.output.contains(words), "\(arguments): \(daemon.output)")
        try Folder.remove(file: folder("run.log"))
      }
    }
  }
}
