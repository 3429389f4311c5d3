import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// Two hosts and one store: each sees what the other does there.
  @Suite struct SyncTests {
    private func target(_ folder: String, poll: String = "0") -> String {
      """
      apiVersion: longhorn.io/v1beta2
      kind: BackupTarget
      metadata: {name: shared}
      spec: {backupTargetURL: "file://\(folder)", pollInterval: "\(poll)"}
      """
    }

    private func names(_ host: DroverHost) throws -> [String] {
      let output = try host.run("backup", "list", "-o", "json")
      return (output.json["items"]?.array ?? []).compactMap { $0["metadata"]?["name"]?.string }
    }

    @Test(.timeLimit(.minutes(6))) func whatOneHostMakesTheOtherSees() throws {
      let store = TemporaryFolder("shared")
      let (one, two) = (try DroverHost(), try DroverHost())
      for host in [one, two] {
        let applied = try host.apply(target(store.path))
        #expect(applied.code == 0, "\(applied)")
      }
      let image = try TestImage.make(one.folder("parrot.img"), size: 4 << 20)
      try one.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try one.succeed("backup", "create", "image", "parrot", "--target", "shared", "--label", "k=v", "--wait")

      let synced = try two.run("target", "sync", "shared")
      #expect(synced.code == 0, "\(synced)")
      #expect(
        synced.out == "backuptarget/shared synced: 1 backups of images, 0 of volumes, 1 read, 0 gone\n", "\(synced)")
      #expect(try names(two) == ["parrot"])
      let record = try two.object("bbi", "parrot")
      #expect(record["spec"]?["userCreated"] == false)
      #expect(record["status"]?["state"] == "Completed" && record["status"]?["labels"]?["k"] == "v", "\(record)")
      #expect(record["status"]?["checksum"]?.string == image.sha512)
      let again = try two.run("target", "sync", "shared")
      #expect(again.out.contains("1 backups of images, 0 of volumes, 0 read, 0 gone"), "\(again)")
      let url = try #require(record["status"]?["url"]?.string)
      try two.succeed("image", "create", "back", "--from-backup", url, "--wait")
      #expect(try two.status("bi", "back")["checksum"]?.string == image.sha512)

      try one.succeed("backup", "delete", "parrot-shared", "--wait", "--timeout", "60s")
      let gone = try two.run("target", "sync", "-o", "name")
      #expect(gone.code == 0 && gone.out.contains("backuptarget/shared"), "\(gone)")
      #expect(try names(two) == [])

      // A file system that is not mounted looks like an empty folder.
      try one.succeed("backup", "create", "image", "parrot", "--target", "shared", "--wait")
      try two.succeed("target", "sync", "shared")
      try Folder.rename(store("backupstore"), store("away"))
      let vanished = try two.run("target", "sync", "shared")
      #expect(vanished.code == 0 && vanished.err.contains("holds nothing at all"), "\(vanished)")
      #expect(try two.status("bbi", "parrot")["state"] == "Unknown")
      try Folder.rename(store("away"), store("backupstore"))
      try two.succeed("target", "sync", "shared")
      #expect(try two.status("bbi", "parrot")["state"] == "Completed")
      try Folder.rename(store.path, "\(store.path).gone")
      let absent = try two.run("target", "sync", "shared")
      #expect(absent.code == 10, "\(absent)")
      #expect(try names(two) == ["parrot"])
      try Folder.rename("\(store.path).gone", store.path)
    }

    @Test(.timeLimit(.minutes(6))) func aPollSeesThemByItself() throws {
      let store = TemporaryFolder("shared")
      let (one, two) = (try DroverHost(), try DroverHost())
      #expect(try one.apply(target(store.path)).code == 0)
      #expect(try two.apply(target(store.path, poll: "1s")).code == 0)
      let image = try TestImage.make(one.folder("parrot.img"), size: 1 << 20)
      try one.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try one.succeed("backup", "create", "image", "parrot", "--target", "shared", "--wait")
      try two.until("the other one sees it", within: 60) { try names(two) == ["parrot"] }
    }

    /// What Longhorn has written, names in capitals and without a checksum as they come.
    @Test(.timeLimit(.minutes(6))) func twoThousandBackupsOfOthers() throws {
      let store = TemporaryFolder("shared")
      let images = store("backupstore/backing-images/backing-images")
      for index in 1...2000 {
        let folder = "\(images)/Image_\(index).x"
        try Folder.create(folder)
        let config = """
          {"Name":"Image_\(index).x","Size":"2097152","BlockCount":"0","Checksum":"","Labels":{"n":"\(index)"},\
          "CompressionMethod":"lz4","CreatedTime":"2026-01-01T00:00:00Z","CompleteTime":"2026-01-01T00:00:01Z",\
          "ProcessingBlocks":null,"Secret":"","SecretNamespace":"","Blocks":[]}
          """
        try config.write(toFile: "\(folder)/backing-image.cfg", atomically: false, encoding: .utf8)
      }
      let host = try DroverHost()
      #expect(try host.apply(target(store.path)).code == 0)
      func timed(_ what: String, _ body: () throws -> Void) rethrows {
        let begin = BootClock.seconds()
        try body()
        print("2,000 backups, \(what): \(Int((BootClock.seconds() - begin) * 1000)) ms")
      }
      try timed("first look") { try host.succeed("target", "sync", "shared", "--timeout", "120s") }
      try timed("second look") { try host.succeed("target", "sync", "shared", "--timeout", "120s") }
      try timed("get bbi") {
        let listed = try host.run("get", "bbi")
        #expect(listed.out.split(separator: "\n").count == 2001)
      }
      #expect(try host.object("bbi", "image_77.x")["spec"]?["backingImage"] == "Image_77.x")
    }

    /// A store of Longhorn's own: its image, and the backups of its volume.
    @Test(.timeLimit(.minutes(6))) func aStoreOfLonghornsOwn() throws {
      let store = TemporaryFolder("longhorn")
      try LonghornStore.copy("lz4", to: store.path)
      let host = try DroverHost()
      #expect(try host.apply(target(store.path)).code == 0)
      let synced = try host.run("target", "sync", "shared")
      #expect(synced.code == 0 && synced.out.contains("1 backups of images, 2 of volumes"), "\(synced)")
      let listed = try host.run("backup", "list")
      for text in ["parrot", "backup-full1", "backup-delta2", "macaw-vol"] {
        #expect(listed.out.contains(text), "\(listed)")
      }
      let selected = try host.run("get", "backup", "-l", "backup-volume=macaw-vol", "-o", "json")
      #expect(selected.json["items"]?.array?.count == 2, "\(selected)")
      let inspected = try host.run("backup", "inspect", "backup-delta2", "-o", "json")
      #expect(inspected.code == 0 && inspected.json["volumeName"] == "macaw-vol", "\(inspected)")
      #expect(inspected.json["isIncremental"] == true, "\(inspected)")

      // One of them is deleted.
      let volume = store("backupstore/volumes/b2/15/macaw-vol")
      func blocks() throws -> Int {
        try FileManager.default.subpathsOfDirectory(atPath: "\(volume)/blocks").filter { $0.hasSuffix(".blk") }.count
      }
      let before = try blocks()
      #expect(try host.run("backup", "pin", "backup-delta2").out == "backup/backup-delta2 pinned\n")
      for force in [[], ["--force"]] {
        let refused = try host.begin(["delete", "backup", "backup-delta2", "--wait"] + force).end()
        #expect(refused.code == 5 && refused.err.contains("pinned"), "\(refused)")
      }
      #expect(try host.run("backup", "unpin", "backup-delta2").code == 0)
      let deleted = try host.run("delete", "backup", "backup-delta2", "--wait", "--timeout", "60s")
      #expect(deleted.code == 0 && deleted.out == "backup/backup-delta2 deleted\n", "\(deleted)")
      #expect(try host.run("get", "backup", "backup-delta2").code == 4)
      #expect(try host.run("job", "list").out.contains("delete-backup"))
      #expect(try FileStatus.of("\(volume)/backups/backup_backup-delta2.cfg") == nil)
      #expect(try blocks() < before)
      let verified = try host.run("target", "verify", "shared")
      #expect(verified.code == 0 && verified.out.contains("macaw-vol/backup-full1"), "\(verified)")
      #expect(try host.run("target", "sync", "shared").code == 0)
      #expect(try host.run("get", "backup", "backup-delta2").code == 4)
      #expect(try host.run("describe", "backup", "backup-full1").code == 0)
      // What only mirrors the store keeps no target.
      #expect(try host.run("delete", "bt", "shared").code == 0)
      #expect(try host.run("backup", "list", "-o", "json").json["items"]?.array?.isEmpty == true)
      #expect(try FileStatus.of(store("backupstore/volumes/b2/15/macaw-vol/volume.cfg")) != nil)
    }
  }
}
