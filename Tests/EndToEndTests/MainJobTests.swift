import DroverModel
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// The job that Drover is for, typed as a user would.
  @Suite struct MainJobTests {
    @Test(.timeLimit(.minutes(3))) func downloadCloneBackUpRestore() throws {
      let host = try DroverHost()
      // Odd: a multiple of 512, but not of 2 MiB or of 4096.
      let image = try TestImage.make(host.folder("parrot.img"), size: (19 << 20) + 1536)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)

      #expect(
        try host.apply(Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512)).out
          == "backingimage/parrot created\n")
      let parrot = try host.status("backingimage", "parrot")
      #expect(parrot["state"] == "ready")
      #expect(parrot["progress"] == 100)
      #expect(parrot["checksum"]?.string == image.sha512)
      #expect(parrot["size"]?.int == Int64(image.size))
      #expect(parrot["virtualSize"]?.int == Int64(image.size))
      #expect(parrot["format"] == "raw")
      #expect(parrot["encrypted"] == false)
      // Two of its ten blocks are holes, and stay holes.
      #expect(try #require(parrot["realSize"]?.int) < Int64(image.size) - 3 * (1 << 20))

      #expect(try host.apply(Manifest.clone("parrot-cloned", of: "parrot")).code == 0)
      let cloned = try host.status("backingimage", "parrot-cloned")
      #expect(cloned["checksum"]?.string == image.sha512)
      #expect(try TestImage.sha512(of: #require(cloned["path"]?.string)) == image.sha512)
      #expect(cloned["uuid"]?.string != parrot["uuid"]?.string)

      #expect(try host.apply(Manifest.backup("parrot")).code == 0)
      let backup = try host.status("backupbackingimage", "parrot")
      #expect(backup["state"] == "Completed")
      #expect(backup["checksum"]?.string == image.sha512)
      #expect(backup["compressionMethod"] == "lz4")
      #expect(backup["labels"] == ["usecase": "test", "type": "raw"])
      let url = try #require(backup["url"]?.string)
      #expect(url == "file://\(host.store)?backingImage=parrot")
      #expect(
        try FileStatus.of("\(host.store)/backupstore/backing-images/backing-images/parrot/backing-image.cfg") != nil)

      #expect(try host.apply(Manifest.restore("parrot-restore", url: url, checksum: image.sha512)).code == 0)
      let restored = try host.status("backingimage", "parrot-restore")
      #expect(try TestImage.sha512(of: #require(restored["path"]?.string)) == image.sha512)
      #expect(try #require(restored["realSize"]?.int) < Int64(image.size) - 3 * (1 << 20))

      // Nothing is left of the work.
      #expect(try host.imageFolders().allSatisfy { !$0.hasSuffix(".partial") })
      #expect(try Folder.listIfPresent("\(host.store)/backupstore/volumes/22/fc/BACKINGIMAGE/locks") ?? [] == [])

      // Applied again, nothing happens.
      #expect(
        try host.apply(Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512)).out
          == "backingimage/parrot unchanged\n")
      #expect(try host.jobs(of: "parrot").count == 2, "one download, one backup")
      #expect(try host.stop() == .code(0))
    }

    @Test(.timeLimit(.minutes(3))) func severalDocumentsInOneFileWaitForEachOther() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 8 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      let all = [
        Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512),
        Manifest.clone("parrot-cloned", of: "parrot"), Manifest.backup("nightly", of: "parrot"),
      ].joined(separator: "\n---\n")
      let applied = try host.apply(all)
      #expect(applied.code == 0, "\(applied)")
      #expect(
        applied.out == """
          backingimage/parrot created
          backingimage/parrot-cloned created
          backupbackingimage/nightly created

          """)
      #expect(try host.status("backingimage", "parrot-cloned")["checksum"]?.string == image.sha512)
      // The name in the store is the image's, whatever the resource is called.
      #expect(
        try host.status("backupbackingimage", "nightly")["url"]?.string?.hasSuffix("?backingImage=parrot") == true)
    }

    @Test(.timeLimit(.minutes(3))) func anUploadAndASaveGiveTheSameBytes() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: (9 << 20) + 512)
      let created = try host.run(
        "image", "create", "parrot", "--from-file", image.path, "--checksum", image.sha512, "--wait")
      #expect(created.code == 0, "\(created)")
      let status = try host.status("backingimage", "parrot")
      #expect(status["state"] == "ready")
      #expect(status["checksum"]?.string == image.sha512)
      #expect(try #require(status["realSize"]?.int) < Int64(image.size))
      let saved = try host.run("image", "save", "parrot", host.folder("saved.img"))
      #expect(saved.code == 0, "\(saved)")
      #expect(try TestImage.sha512(of: host.folder("saved.img")) == image.sha512)
      let streamed = try host.begin(["image", "save", "parrot", "-"])
      #expect(try streamed.process.wait() == .code(0))
      #expect(try TestImage.sha512(of: "\(streamed.base).out") == image.sha512)
    }

    @Test(.timeLimit(.minutes(6))) func backupCreateListInspectDelete() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 8 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      let created = try host.run(
        "backup", "create", "image", "parrot", "--label", "a=b", "--compression", "gzip", "--wait")
      #expect(created.code == 0, "\(created)")
      let list = try host.run("backup", "list", "-o", "json")
      let item = try #require(list.json["items"]?.array?.first)
      #expect(item["status"]?["state"] == "Completed")
      #expect(item["status"]?["compressionMethod"] == "gzip")
      #expect(item["status"]?["labels"]?["a"] == "b")
      let url = try #require(item["status"]?["url"]?.string)
      let inspected = try host.run("backup", "inspect", url, "-o", "json")
      #expect(inspected.code == 0, "\(inspected)")
      #expect(inspected.out.contains(image.sha512))
      let name = try #require(item["metadata"]?["name"]?.string)
      let deleted = try host.run("backup", "delete", name)
      #expect(deleted.code == 0, "\(deleted)")
      let gone = try host.run("wait", "backupbackingimage/\(name)", "--for", "deleted", "--timeout", "30s")
      #expect(gone.code == 0, "\(gone)")
      #expect(try Folder.listIfPresent("\(host.store)/backupstore/backing-images/backing-images/parrot") == nil)
      #expect(try host.run("backup", "inspect", url).code == 4)
    }

    @Test(.timeLimit(.minutes(6))) func aSyncedRecordStartsNoBackupBeforeSomebodyAsks() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 4 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      #expect(try host.apply(Manifest.backup("mirror", of: "parrot", userCreated: false), wait: false).code == 0)
      try host.until("it was looked for", within: 30) {
        let jobs = try host.jobs(of: "mirror")
        return !jobs.isEmpty && jobs.allSatisfy { $0["status"]?["state"] == "failed" }
      }
      #expect(try host.jobs(of: "mirror").allSatisfy { $0["status"]?["type"] == "inspect" })
      #expect(try Folder.listIfPresent("\(host.store)/backupstore/backing-images/backing-images") ?? [] == [])
      try host.succeed("backup", "create", "image", "parrot", "--wait")
      let backups = try host.run("backup", "list", "-o", "json").json["items"]?.array ?? []
      #expect(backups.count == 1 && backups[0]["spec"]?["userCreated"] == true, "one record an image and target")
    }
  }
}
