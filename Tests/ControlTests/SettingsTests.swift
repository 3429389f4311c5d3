import ControlServer
import DroverModel
import Engine
import LinuxSystem
import TestKit
import Testing

@testable import droverd

/// Flag before variable before file before default.
@Suite struct SettingsTests {
  private func resolve(
    _ flags: Settings.Flags = .init(), _ environment: [String: String] = [:], in folder: TemporaryFolder
  ) throws -> Settings {
    try Settings.resolve(
      flags,
      process: ProcessFacts(
        userID: 1000, environment: ["HOME": folder("home")].merging(environment) { $1 },
        executable: folder("prefix/bin/droverd"), cores: 6, workingFolder: "/work-here"))
  }

  @Test func defaultsAreTheUsers() throws {
    let folder = TemporaryFolder("settings")
    let settings = try resolve(in: folder)
    #expect(settings.engine.stateFolder == folder("home/.local/state/drover"))
    #expect(settings.engine.workerPath == folder("prefix/libexec/drover/drover-worker"))
    #expect(settings.engine.pluginFolders == [folder("prefix/lib/drover/plugins")])
    #expect(settings.engine.maxJobs == 8)
    #expect(settings.engine.concurrency == 12)
    #expect(settings.server.readOnlySocketPath.hasSuffix("/drover-ro.sock"))
    #expect(settings.configurationFile == nil)
    #expect(settings.notifySocket == nil)
  }

  @Test func clientsLeaveTheDaemonItsDescriptors() {
    #expect(ServerLimits(descriptors: 65_536, jobs: 8).connections == 256)
    #expect(ServerLimits(descriptors: 256, jobs: 4).connections == 100)
    #expect(ServerLimits(descriptors: 48, jobs: 4).connections == 4)
  }

  @Test func whatIsNearerWins() throws {
    let folder = TemporaryFolder("settings")
    try Folder.create(folder("home/.config/drover"))
    try Folder.writeDurably(
      folder("home/.config/drover/drover.yaml"),
      Array(
        """
        maxJobs: 3
        jobs: {concurrency: 2, attempts: 5, backoffMax: 1m}
        stallTimeout: 7s
        reserve: 1Gi
        groups: {write: ops, read: "100"}
        plugins: [/from/file]
        hooks: /hooks/file
        """.utf8))
    let file = try resolve(in: folder)
    #expect(file.configurationFile == folder("home/.config/drover/drover.yaml"))
    #expect(file.engine.maxJobs == 3 && file.engine.concurrency == 2 && file.engine.attempts == 5)
    #expect(file.engine.backoffMaxSeconds == 60 && file.engine.stallSeconds == 7)
    #expect(file.engine.reserveBytes == 1 << 30)
    #expect(file.server.writeGroup == "ops" && file.server.readGroup == "100")
    #expect(file.engine.pluginFolders == ["/from/file"] && file.engine.hooksFolder == "/hooks/file")
    #expect(file.server.effective["maxJobs"] == 3)
    let variables = [
      "DROVER_STATE": "/s", "DROVER_SOCKET": "/v.sock", "DROVER_PLUGINS": "/v1:/v2", "DROVER_HOOKS": "/hv",
      "NOTIFY_SOCKET": "@n",
    ]
    let variable = try resolve(.init(), variables, in: folder)
    #expect(variable.engine.stateFolder == "/s" && variable.server.socketPath == "/v.sock")
    #expect(variable.engine.pluginFolders == ["/v1", "/v2"] && variable.engine.hooksFolder == "/hv")
    #expect(variable.notifySocket == "@n")
    let flag = try resolve(
      .init(state: "relative", socket: "/f.sock", hooks: "/hf", plugins: ["/f1", "f2"]), variables, in: folder)
    #expect(flag.engine.stateFolder == "/work-here/relative")
    #expect(flag.server.socketPath == "/f.sock" && flag.server.readOnlySocketPath == "/f-ro.sock")
    #expect(flag.engine.pluginFolders == ["/f1", "/work-here/f2"] && flag.engine.hooksFolder == "/hf")
  }

  @Test func aNamedFileReplacesTheDefaultOne() throws {
    let folder = TemporaryFolder("settings")
    try Folder.writeDurably(folder("mine.yaml"), Array("maxJobs: 1\n".utf8))
    #expect(try resolve(.init(config: folder("mine.yaml")), in: folder).engine.maxJobs == 1)
    #expect(throws: Fault.self) { try resolve(.init(config: folder("absent.yaml")), in: folder) }
  }
}
