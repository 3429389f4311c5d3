import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// A target says whether its store is there, and what waits for it goes on by itself.
  @Suite struct TargetTests {
    private func target(_ host: DroverHost, poll: String = "1s") -> String {
      """
      apiVersion: longhorn.io/v1beta2
      kind: BackupTarget
      metadata: {name: elsewhere}
      spec: {backupTargetURL: "file://\(host.folder("elsewhere"))", pollInterval: "\(poll)"}
      """
    }

    private func becomes(_ available: Bool, _ host: DroverHost) throws {
      try host.until("available: \(available)", within: 30) {
        try host.status("backuptarget", "elsewhere")["available"] == .bool(available)
      }
    }

    @Test(.timeLimit(.minutes(2))) func aFolderThatIsNotThere() throws {
      let host = try DroverHost()
      let absent = try host.apply(target(host, poll: "0"))
      #expect(absent.code == 10, "\(absent)")
      #expect(absent.err.contains("elsewhere"), "\(absent)")
      let status = try host.status("backuptarget", "elsewhere")
      #expect(status["available"] == false, "\(status)")
      #expect(status["conditions"]?.array?.first?["reason"] == "target-unreachable", "\(status)")
      try Folder.create(host.folder("elsewhere"))
      let there = try host.apply(target(host, poll: "0"))
      #expect(there.code == 0, "\(there)")
      #expect(try host.status("backuptarget", "elsewhere")["available"] == true)
    }

    @Test(.timeLimit(.minutes(3))) func aFolderThatVanishesAndComesBack() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 4 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try Folder.create(host.folder("elsewhere"))
      let applied = try host.apply(target(host))
      #expect(applied.code == 0, "\(applied)")
      try Folder.rename(host.folder("elsewhere"), host.folder("away"))
      try becomes(false, host)
      let failed = try host.apply(Manifest.backup("b1", of: "parrot", target: "elsewhere"), timeout: "20s")
      #expect(failed.code == 10, "\(failed)")
      try Folder.rename(host.folder("away"), host.folder("elsewhere"))
      try becomes(true, host)
      let done = try host.run("wait", "backupbackingimage/b1", "--for", "completed", "--timeout", "30s")
      #expect(done.code == 0, "\(done)")
      #expect(try host.jobs(of: "b1").count == 1, "the job that waited, and no other")
    }
  }
}
