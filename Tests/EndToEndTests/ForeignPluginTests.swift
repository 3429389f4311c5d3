import DroverModel
import Foundation
import LinuxSystem
import OpenSSL
import TestKit
import Testing

extension EndToEnd {
  /// The plugins of docs/plugins.md, compiled from the header alone, in a running daemon.
  @Suite struct ForeignPluginTests {
    let plugins = TemporaryFolder("plugins")
    let host: DroverHost
    static let size = (3 << 20) + 512

    init() throws {
      let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path
      for name in ["pattern", "xor"] {
        let process = try ChildProcess.spawn(
          "/usr/bin/env",
          arguments: [
            "env", "cc", "-shared", "-fPIC", "-I", "\(root)/Sources/CDroverPlugin/include", "-o",
            plugins("libdrover-stage-\(name).so"), "\(root)/Tests/PluginTests/Plugins/\(name).c",
          ], environment: ["PATH": ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin:/bin"], descriptors: [])
        try #require(try process.wait() == .code(0))
      }
      host = try DroverHost(plugins: [plugins.path])
    }

    func sha512(_ change: (UInt8) -> UInt8) -> String {
      let bytes = (0..<Self.size).map { change(UInt8($0 % 251)) }
      return hexadecimal(bytes.withUnsafeBytes { SHA512.hash($0) })
    }

    @Test(.timeLimit(.minutes(6))) func aStageInCIsASourceType() throws {
      let checksum = sha512 { $0 }
      let output = try host.apply(
        Manifest.image("counter", "pattern", ["size": "\(Self.size)"], checksum: checksum))
      #expect(output.code == 0, "\(output)")
      let status = try host.status("backingimage", "counter")
      #expect(status["state"]?.string == "ready" && status["checksum"]?.string == checksum)
      #expect(try TestImage.sha512(of: #require(status["path"]?.string)) == checksum)
    }

    @Test(.timeLimit(.minutes(6))) func aStageInCIsAFilter() throws {
      let filters = """
          filters:
            - stage: xor
              params: {key: "255"}
        """
      let output = try host.apply(
        Manifest.image("inverted", "pattern", ["size": "\(Self.size)"], checksum: sha512 { ~$0 }, more: filters))
      #expect(output.code == 0, "\(output)")
      #expect(try host.status("backingimage", "inverted")["checksum"]?.string == sha512 { ~$0 })
    }

    @Test(.timeLimit(.minutes(6))) func aParameterThatThePluginRefusesFailsTheImage() throws {
      let output = try host.apply(Manifest.image("bad", "pattern", ["size": "many"]))
      #expect(output.code == 2 && output.err.contains("parameter size is no number"), "\(output)")
      let unknown = try host.apply(Manifest.image("worse", "pattern", ["size": "512", "colour": "red"]))
      #expect(unknown.code == 2 && unknown.err.contains("`colour`"), "\(unknown)")
    }

    @Test(.timeLimit(.minutes(6))) func theyAreListedAndInspected() throws {
      let list = try host.run("plugin", "list")
      #expect(list.code == 0 && list.out.contains("pattern") && list.out.contains("xor"), "\(list)")
      let inspected = try host.run("plugin", "inspect", plugins("libdrover-stage-xor.so"))
      #expect(inspected.code == 0 && inspected.out.contains("xor (filter, parallel)"), "\(inspected)")
      #expect(inspected.out.contains("a number from 1 to 255"))
    }
  }
}
