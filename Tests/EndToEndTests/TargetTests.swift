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

    @Test(.timeLimit(.minutes(6))) func aFolderThatIsNotThere() throws {
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

    @Test(.timeLimit(.minutes(6))) func aKnownTargetIsLookedAtAgain() throws {
      let host = try DroverHost()
      try Folder.create(host.folder("elsewhere"))
      let there = try host.apply(target(host, poll: "0"))
      #expect(there.code == 0, "\(there)")
      try Folder.rename(host.folder("elsewhere"), host.folder("away"))
      let gone = try host.apply(target(host, poll: "0"))
      #expect(gone.code == 10, "\(gone)")
      let tried = try host.run("apply", "-f", "-", "--dry-run", input: target(host, poll: "0"))
      #expect(tried.code == 0 && tried.err.contains("can't be used now"), "\(tried)")
    }

    @Test(.timeLimit(.minutes(6))) func whatAJobHasMetTheTargetSays() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 1 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try Folder.create(host.folder("elsewhere"))
      #expect(try host.apply(target(host, poll: "0")).code == 0)
      try Folder.rename(host.folder("elsewhere"), host.folder("away"))
      let failed = try host.apply(Manifest.backup("b1", of: "parrot", target: "elsewhere"), timeout: "30s")
      #expect(failed.code == 10, "\(failed)")
      try becomes(false, host)
    }

    @Test(.timeLimit(.minutes(6))) func aForcedDeletionLeavesTheStoreAndNoRecord() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 1 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try Folder.create(host.folder("elsewhere"))
      #expect(try host.apply(target(host, poll: "0")).code == 0)
      let made = try host.apply(Manifest.backup("b1", of: "parrot", target: "elsewhere"))
      #expect(made.code == 0, "\(made)")
      try Folder.rename(host.folder("elsewhere"), host.folder("away"))
      let refused = try host.run("delete", "bbi", "b1", "--wait", "--timeout", "30s")
      #expect(refused.code == 10, "\(refused)")
      try becomes(false, host)
      let forced = try host.run("delete", "bbi", "b1", "--force")
      #expect(forced.code == 0 && forced.out == "backupbackingimage/b1 deleted\n", "\(forced)")
      #expect(try host.run("get", "bbi", "b1").code == 4)
    }

    @Test(.timeLimit(.minutes(6))) func whoWaitsForAForeignLockIsToldSo() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 1 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      let locks = "\(host.store)/backupstore/volumes/22/fc/BACKINGIMAGE/locks"
      try Folder.create(locks)
      let record = #"{"Name":"lock-0123456789abcdef","Type":2,"Acquired":true}"#
      try Folder.writeDurably("\(locks)/lock-0123456789abcdef.lck", Array(record.utf8))
      let waited = try host.run("backup", "create", "image", "parrot", "--wait", "--timeout", "8s", "-o", "json")
      #expect(waited.code == 6, "\(waited)")
      #expect(waited.err.contains(#""code":"locked""#), "\(waited)")
    }

    @Test(.timeLimit(.minutes(6))) func aRecordOfWhatIsNotInTheStore() throws {
      let host = try DroverHost()
      let manifest = """
        apiVersion: longhorn.io/v1beta2
        kind: BackupBackingImage
        metadata: {name: nowhere}
        spec: {userCreated: false}
        """
      let applied = try host.apply(manifest, timeout: "60s")
      #expect(applied.code == 4, "\(applied)")
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
