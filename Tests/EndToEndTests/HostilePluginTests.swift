import DroverModel
import Foundation
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// `Tests/PluginTests/Plugins/hostile.c` in a running daemon: only its own jobs fail.
  @Suite struct HostilePluginTests {
    static func compile(_ options: [String] = [], to path: String) throws {
      let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
      let process = try ChildProcess.spawn(
        "/usr/bin/env",
        arguments: ["env", "cc", "-shared", "-fPIC", "-I", "\(root)/Sources/CDroverPlugin/include"] + options + [
          "-o", path, "\(root)/Tests/PluginTests/Plugins/hostile.c", "-lpthread",
        ], environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"], descriptors: [])
      try #require(try process.wait() == .code(0))
    }

    @Test(.timeLimit(.minutes(3))) func onlyItsOwnJobsFail() throws {
      let plugins = TemporaryFolder("plugins")
      try Self.compile(to: plugins("libdrover-stage-hostile.so"))
      let host = try DroverHost(
        plugins: [plugins.path], configuration: "{jobs: {attempts: 1}, hangTimeout: 2s, maxJobs: 8}")
      let daemon = host.daemon?.pid
      let harms = [
        ("plan", "segv"), ("open", "_exit"), ("info", "abort"), ("extents", "kill"), ("pread", "segv"),
        ("close", "exit"),
        ("pread", "hang"), ("pread", "more"), ("pread", "fork"), ("pread", "channel"), ("open", "close-all"),
      ]
      for (call, harm) in harms {
        let manifest = Manifest.image(
          "\(call)-\(harm.filter(\.isLetter))", "hostile", ["size": "300032", "in": call, "do": harm])
        #expect(try host.apply(manifest, wait: false).code == 0)
      }
      let healthy = try host.apply(Manifest.image("healthy", "hostile", ["size": "300032"]))
      #expect(healthy.code == 0, "\(healthy)")
      for (call, harm) in harms where harm != "channel" {
        let name = "\(call)-\(harm.filter(\.isLetter))"
        try host.until("\(name) has failed", within: 60) {
          try host.jobs(of: name).first?["status"]?["state"]?.string == "failed"
        }
        let message = try host.jobs(of: name).first?["status"]?["error"]?["message"]?.string ?? ""
        guard harm != "close-all", harm != "fork" else { continue }
        #expect(message.contains(call == "extents" && harm == "more" ? "extents" : call), "\(name): \(message)")
        #expect(message.contains("hostile") && message.contains("libdrover-stage-hostile.so"), "\(name): \(message)")
      }
      let waited = try host.run("wait", "backingimage/pread-channel", "--for", "ready", "--timeout", "60s")
      #expect(waited.code == 0, "\(waited)")
      // Still the same one, and what failed has left nothing.
      #expect(host.daemon?.pid == daemon)
      #expect(try host.run("status").code == 0)
      // What failed keeps what it has for a retry by hand; that goes with the image.
      for (call, harm) in harms where harm != "channel" {
        let deleted = try host.run("delete", "backingimage", "\(call)-\(harm.filter(\.isLetter))")
        #expect(deleted.code == 0, "\(deleted)")
      }
      try host.until("nothing partial is left", within: 60) {
        let left = try host.imageFolders()
        return left.count == 2 && !left.contains { $0.hasSuffix(".partial") }
          && ["healthy", "pread-channel"].allSatisfy { name in left.contains { $0.hasPrefix(name) } }
      }
    }

    @Test(.timeLimit(.minutes(3))) func onePluginThatDiesWhenLoadedDoesNotHideTheOthers() throws {
      let plugins = TemporaryFolder("plugins")
      try Self.compile(["-DHOSTILE_ENTRY=abort()"], to: plugins("libdrover-stage-hostile.so"))
      let host = try DroverHost(plugins: [plugins.path])
      let list = try host.run("plugin", "list")
      #expect(list.code == 0 && list.out.contains("clone (source, sink)"), "\(list)")
      #expect(list.out.contains("SIGABRT") && list.out.contains("call drover_plugin_v1"), "\(list)")
      let inspected = try host.run("plugin", "inspect", plugins("libdrover-stage-hostile.so"))
      #expect(inspected.code == 1 && inspected.err.contains("SIGABRT"), "\(inspected)")
    }

    @Test(.timeLimit(.minutes(3))) func theCommandLineChecksAPluginWithoutADaemon() throws {
      let host = try DroverHost(start: false)
      let plugins = TemporaryFolder("plugins")
      try Self.compile(to: plugins("hostile.so"))
      let arguments = ["plugin", "check", plugins("hostile.so"), "--role", "source", "--params"]
      let good = try host.begin(arguments + [#"{"size":"300032"}"#]).end()
      #expect(good.code == 0 && good.out.contains("nothing found"), "\(good)")
      let bad = try host.begin(arguments + [#"source={"size":"300032","in":"pread","do":"segv"}"#, "-o", "json"]).end()
      #expect(bad.code == 1, "\(bad)")
      let steps = bad.json["steps"]?.array ?? []
      let crash = steps.first { $0["name"]?.string == "reads" }
      #expect(crash?["outcome"]?.string == "failed", "\(bad)")
      #expect(crash?["detail"]?.string?.contains("SIGSEGV") == true, "\(bad)")
      let usage = try host.begin(["plugin", "check", plugins("hostile.so"), "--params", "[]"]).end()
      #expect(usage.code == 2, "\(usage)")
    }
  }
}
