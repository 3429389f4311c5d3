import DroverModel
import Manifests
import Testing

@Suite struct ConfigurationTests {
  private func read(_ text: String) throws(Fault) -> Configuration {
    try ConfigurationFile.read(Array(text.utf8), name: "drover.yaml")
  }

  @Test func anEmptyFileGivesTheDefaults() throws {
    #expect(try read("") == Configuration())
    #expect(try read("# nothing\n") == Configuration())
    #expect(Configuration().maxJobs(cores: 2) == 4)
    #expect([1, 2, 4, 64].map { Configuration().concurrency(cores: $0) } == [4, 4, 8, 12])
  }

  @Test func everySetting() throws {
    let configuration = try read(
      """
      maxJobs: 3
      maxJobsPerTarget: "2"
      jobs: {concurrency: 6, attempts: 2, backoffMax: 1m}
      stallTimeout: 5s
      hangTimeout: 2m
      reserve: 1Gi
      groups:
        write: drover
        read: users
      plugins: [/a, /b]
      hooks: /h
      """)
    var wanted = Configuration()
    wanted.maxJobs = 3
    wanted.maxJobsPerTarget = 2
    wanted.concurrency = 6
    wanted.attempts = 2
    wanted.backoffMaxSeconds = 60
    wanted.stallSeconds = 5
    wanted.hangSeconds = 120
    wanted.reserveBytes = 1 << 30
    wanted.writeGroup = "drover"
    wanted.readGroup = "users"
    wanted.pluginFolders = ["/a", "/b"]
    wanted.hooksFolder = "/h"
    #expect(configuration == wanted)
    let shown = configuration.effective(cores: 2, pluginFolders: ["/a", "/b"], hooksFolder: "/h")
    #expect(try Configuration(.object(shown)) == wanted)
    #expect(try read("jobs.attempts: 2").attempts == 2)
  }

  @Test(arguments: [
    ("maxJob: 3", "did you mean maxJobs?"), ("jobs: {atempts: 3}", "did you mean jobs.attempts?"),
    ("maxJobs: 0", "must be from 1 to 1000"), ("stallTimeout: soon", "not a span of time"),
    ("reserve: much", "not a size"), ("plugins: relative", "absolute folders"), ("jobs: 3", "must be an object"),
    ("jobs: {attempts: 1}\njobs.attempts: 2", "set twice"), ("- a", "must be an object"),
    ("a: 1\n---\nb: 2", "2 documents"), ("maxJobs: 3\n  x: [", "drover.yaml:2"),
  ])
  func mistakes(text: String, message: String) {
    let fault = fault { () throws(Fault) in try read(text) }
    #expect(fault?.code == .invalid)
    #expect(fault?.hint?.contains("--validate") != true)
    #expect(fault?.message.contains(message) == true, "\(fault?.message ?? "no fault")")
    #expect(fault?.message.hasPrefix("drover.yaml") == true)
  }

  @Test func settingsOfLaterVersionsAreNotSilentlyTaken() {
    #expect(fault { () throws(Fault) in try read("retention: {minKeep: 2}") }?.code == .notSupported)
  }
}

@Suite struct DefaultPathsTests {
  private func paths(
    _ userID: UInt32, _ environment: [String: String] = [:], executable: String = "/usr/bin/droverd",
    there: Set<String> = []
  ) -> DefaultPaths {
    DefaultPaths(userID: userID, environment: environment, executable: executable, exists: there.contains)
  }

  @Test func root() {
    let paths = paths(0, ["HOME": "/root", "XDG_RUNTIME_DIR": "/run/user/0"])
    #expect(paths.stateFolder == "/var/lib/drover")
    #expect(paths.socket == "/run/drover/drover.sock")
    #expect(paths.readOnlySocket == "/run/drover/drover-ro.sock")
    #expect(paths.configurationFile == "/etc/drover/drover.yaml")
    #expect(paths.pluginFolders == ["/usr/lib/drover/plugins"])
    #expect(paths.workerPath == "/usr/libexec/drover/drover-worker")
    #expect(paths.exportPath == "/usr/libexec/drover/drover-export")
    #expect(paths.hooksFolder == nil)
  }

  @Test func aUser() {
    let bare = paths(1000, ["HOME": "/home/u"])
    #expect(bare.stateFolder == "/home/u/.local/state/drover")
    #expect(bare.socket == "/home/u/.local/state/drover/run/drover.sock")
    #expect(bare.configurationFile == "/home/u/.config/drover/drover.yaml")
    let set = paths(
      1000, ["HOME": "/home/u", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/run/user/1000", "XDG_CONFIG_HOME": "rel"])
    #expect(set.stateFolder == "/s/drover")
    #expect(set.socket == "/run/user/1000/drover/drover.sock")
    #expect(set.configurationFile == "/home/u/.config/drover/drover.yaml")
  }

  @Test func variablesStandInForFlags() {
    let paths = paths(
      0, ["DROVER_STATE": "/s", "DROVER_SOCKET": "/x/d.sock", "DROVER_HOOKS": "/h", "DROVER_PLUGINS": "/p:/q"])
    #expect(paths.stateFolder == "/s")
    #expect(paths.socket == "/x/d.sock")
    #expect(paths.readOnlySocket == "/x/d-ro.sock")
    #expect(paths.hooksFolder == "/h")
    #expect(paths.pluginFolders == ["/p", "/q"])
    #expect(DefaultPaths.readOnlySocket(beside: "/a.b/sock") == "/a.b/sock-ro")
  }

  @Test func aBuildFolder() {
    let debug = "/src/.build/x86_64-unknown-linux-gnu/debug"
    let paths = paths(
      1000, ["HOME": "/home/u"], executable: "\(debug)/droverd",
      there: ["\(debug)/libdrover-stage-clone.so", "\(debug)/drover-worker", "/src/Package.swift", "/src/hooks"])
    #expect(paths.pluginFolders == [debug])
    #expect(paths.workerPath == "\(debug)/drover-worker")
    #expect(paths.hooksFolder == "/src/hooks")
  }
}
