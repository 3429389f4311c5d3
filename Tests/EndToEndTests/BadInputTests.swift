import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// Bad input gets a clear error, its exit code, and loses nothing.
  @Suite struct BadInputTests {
    @Test(.timeLimit(.minutes(6))) func aWrongChecksumFailsAtOnceAndLeavesNothing() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 6 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      let wrong = String(repeating: "0", count: 128)
      let output = try host.apply(Manifest.download("parrot", url: web.url("/parrot.img"), checksum: wrong))
      #expect(output.code == 7, "\(output)")
      #expect(output.err.contains(wrong.prefix(16)) && output.err.contains(image.sha512.prefix(16)), "\(output)")
      #expect(try host.status("backingimage", "parrot")["state"] == "failed")
      let jobs = try host.jobs(of: "parrot")
      #expect(jobs.count == 1)
      #expect(jobs.first?["status"]?["attempt"] == 1)
      #expect(jobs.first?["status"]?["error"]?["code"] == "checksum-mismatch")
      #expect(jobs.first?["status"]?["error"]?["retry"] == "never")
      #expect(try host.imageFolders() == [])
    }

    @Test(.timeLimit(.minutes(6))) func aSizeThatIsNoMultipleOf512() throws {
      let host = try DroverHost()
      try Folder.writeDurably(host.folder("odd.img"), [UInt8](repeating: 1, count: 1000))
      let web = try Web()
      try web.serve("/odd.img", file: host.folder("odd.img"))
      let output = try host.apply(Manifest.download("odd", url: web.url("/odd.img")))
      #expect(output.code == 1, "\(output)")
      #expect(output.err.contains("512"))
      let uploaded = try host.run("image", "create", "odd-2", "--from-file", host.folder("odd.img"), "--wait")
      #expect(uploaded.code == 1, "\(uploaded)")
      #expect(try host.imageFolders() == [])
    }

    @Test(.timeLimit(.minutes(6))) func notFoundFailsAtOnceAndUnavailableIsTriedAgain() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 6 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.fail("/parrot.img", status: 503, times: 3)
      let absent = try host.apply(Manifest.download("absent", url: web.url("/absent.img")))
      #expect(absent.code != 0)
      #expect(absent.err.contains("404"), "\(absent)")
      let recovered = try host.apply(
        Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512), timeout: "90s")
      #expect(recovered.code == 0, "\(recovered)")
      #expect(web.requests("/parrot.img") >= 4)
    }

    @Test(.timeLimit(.minutes(6))) func manifestsThatAreNotValid() throws {
      let host = try DroverHost()
      let broken = try host.apply("kind: BackingImage\nmetadata: {name: a b: c\n", wait: false)
      #expect(broken.code == 2, "\(broken)")
      let key = try host.apply(
        Manifest.image("parrot", "download", ["url": "http://127.0.0.1/x"], more: "  sourceTyp: download"), wait: false)
      #expect(key.code == 2 && key.err.contains("sourceTyp") && key.err.contains("sourceType"), "\(key)")
      let type = try host.apply(Manifest.image("parrot", "downlod", ["url": "http://127.0.0.1/x"]), wait: false)
      #expect(type.code == 2 && type.err.contains("download"), "\(type)")
      let scheme = try host.apply(Manifest.download("parrot", url: "file:///etc/passwd"), wait: false)
      #expect(scheme.code == 2, "\(scheme)")
      let name = try host.apply(Manifest.download("../x", url: "http://127.0.0.1/x"), wait: false)
      #expect(name.code == 2, "\(name)")
      let checksum = try host.apply(
        Manifest.download("parrot", url: "http://127.0.0.1/x", checksum: "abc"), wait: false)
      #expect(checksum.code == 2, "\(checksum)")
      #expect(try host.run("get", "nonsense").code == 2)
      #expect(try host.run("get", "backingimage", "absent").code == 4)
      #expect(try host.run("get", "backingimage", "-o", "json").json["items"]?.array?.isEmpty == true)
    }

    @Test(.timeLimit(.minutes(6))) func aCloneOfAMissingImage() throws {
      let host = try DroverHost()
      let output = try host.apply(Manifest.clone("copy", of: "absent"))
      #expect(output.code == 4, "\(output)")
      #expect(output.err.contains("absent"))
    }

    @Test(.timeLimit(.minutes(6))) func whatIsInUseIsNotDeletedAndASpecIsNotChanged() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 64 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.stall("/parrot.img", after: 8 << 20)
      #expect(try host.apply(Manifest.download("parrot", url: web.url("/parrot.img")), wait: false).code == 0)
      #expect(try host.apply(Manifest.clone("copy", of: "parrot"), wait: false).code == 0)
      let refused = try host.run("delete", "backingimage", "parrot")
      #expect(refused.code == 5, "\(refused)")
      #expect(refused.err.contains("copy"), "\(refused)")
      let changed = try host.apply(Manifest.download("parrot", url: web.url("/other.img")), wait: false)
      #expect(changed.code == 5, "\(changed)")
      // A second job on an image that is being made is refused too.
      let upload = try host.run("image", "create", "parrot", "--from-file", image.path)
      #expect(upload.code == 5, "\(upload)")
      for name in ["copy", "parrot"] {
        let deleted = try host.run("delete", "backingimage", name, "--wait", "--timeout", "30s")
        #expect(deleted.code == 0, "\(deleted)")
      }
      #expect(try host.imageFolders() == [])
      web.release()
    }

    @Test(.timeLimit(.minutes(6))) func aStoreThatVanished() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 4 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try Folder.create(host.folder("elsewhere"))
      let target = """
        apiVersion: longhorn.io/v1beta2
        kind: BackupTarget
        metadata: {name: elsewhere}
        spec: {backupTargetURL: "file://\(host.folder("elsewhere"))"}
        """
      let applied = try host.apply(target)
      #expect(applied.code == 0, "\(applied)")
      try Folder.rename(host.folder("elsewhere"), host.folder("away"))
      let failed = try host.apply(Manifest.backup("b1", of: "parrot", target: "elsewhere"), timeout: "20s")
      #expect(failed.code == 10, "\(failed)")
      try Folder.rename(host.folder("away"), host.folder("elsewhere"))
      // The job stays, and goes on when it is told that something has changed.
      #expect(try host.apply(target, wait: false).code == 0)
      let job = try #require(try host.jobs(of: "b1").first?["metadata"]?["name"]?.string)
      _ = try host.run("job", "retry", job)
      let done = try host.run("wait", "backupbackingimage/b1", "--for", "completed", "--timeout", "30s")
      #expect(done.code == 0, "\(done)")
    }

    @Test(.timeLimit(.minutes(6))) func aNameThatHoldsOtherContentInTheStore() throws {
      let host = try DroverHost()
      let first = try TestImage.make(host.folder("1.img"), size: 4 << 20, seed: 1)
      let second = try TestImage.make(host.folder("2.img"), size: 4 << 20, seed: 2)
      try host.succeed("image", "create", "parrot", "--from-file", first.path, "--wait")
      try host.succeed("backup", "create", "image", "parrot", "--wait")
      // Another host, whose image of that name is another, on the same store.
      let other = try DroverHost()
      try other.succeed("image", "create", "parrot", "--from-file", second.path, "--wait")
      let target = """
        apiVersion: longhorn.io/v1beta2
        kind: BackupTarget
        metadata: {name: shared}
        spec: {backupTargetURL: "file://\(host.store)"}
        """
      #expect(try other.apply(target).code == 0)
      let refused = try other.apply(Manifest.backup("b2", of: "parrot", target: "shared"))
      #expect(refused.code == 5, "\(refused)")
      let url = "file://\(host.store)?backingImage=parrot"
      let restored = try other.apply(Manifest.restore("again", url: url, checksum: first.sha512))
      #expect(restored.code == 0, "what was there is untouched: \(restored)")
    }

    @Test(.timeLimit(.minutes(6))) func aStoreWithDamagedAndForeignFiles() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 8 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try host.succeed("backup", "create", "image", "parrot", "--wait")
      let url = "file://\(host.store)?backingImage=parrot"
      let blocks = "\(host.store)/backupstore/backing-images/blocks"
      try Folder.writeDurably("\(blocks)/README", Array("foreign".utf8))
      try Folder.writeDurably("\(host.store)/backupstore/backing-images/backing-images/x.tmp.1", [0])
      #expect(try host.apply(Manifest.restore("good", url: url)).code == 0)

      let block = try #require(try Self.firstBlock(blocks))
      let bytes = try Folder.readFile(block, limit: 4 << 20)
      var damaged = bytes
      damaged[damaged.count / 2] ^= 1
      for (name, content) in [("flipped", damaged), ("short", Array(bytes.dropLast(5))), ("empty", [])] {
        try Folder.writeDurably(block, content)
        let output = try host.apply(Manifest.restore(name, url: url))
        #expect(output.code == 7, "\(name): \(output)")
        #expect(output.err.contains(Self.name(of: block)), "\(output)")
      }
      try Folder.remove(file: block)
      let missing = try host.apply(Manifest.restore("missing", url: url))
      #expect(missing.code == 7, "\(missing)")
      #expect(try host.imageFolders().count == 2, "parrot and good; nothing of the failed ones")

      let config = "\(host.store)/backupstore/backing-images/backing-images/parrot/backing-image.cfg"
      try Folder.writeDurably(config, Array("{\"Name\":".utf8))
      let broken = try host.apply(Manifest.restore("broken", url: url))
      #expect(broken.code != 0 && broken.err.contains("backing-image.cfg"), "\(broken)")
    }

    @Test(.timeLimit(.minutes(6))) func anImageThatChangedIsNotPassedOn() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 8 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      let path = try #require(try host.status("backingimage", "parrot")["path"]?.string)
      let file = try OpenFile.open(path, .readWrite)
      try [UInt8]("rot".utf8).withUnsafeBytes { try file.write($0, at: 4 << 20) }
      try file.sync()
      let backup = try host.apply(Manifest.backup("parrot"))
      #expect(backup.code == 7, "\(backup)")
      #expect(try Folder.listIfPresent("\(host.store)/backupstore/backing-images/backing-images/parrot") ?? [] == [])
      let clone = try host.apply(Manifest.clone("copy", of: "parrot"))
      #expect(clone.code == 7, "\(clone)")
      let saved = try host.run("image", "save", "parrot", host.folder("saved.img"))
      #expect(saved.code == 7, "\(saved)")
      #expect(try FileStatus.of(host.folder("saved.img")) == nil)
    }

    @Test(.timeLimit(.minutes(6))) func aCatalogThatIsGoneIsNotReplaced() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 4 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      #expect(try host.stop() == .code(0))
      for name in try Folder.list(host.state) where name.hasPrefix("catalog.sqlite") {
        try Folder.rename("\(host.state)/\(name)", host.folder(name))
      }
      let null = try OpenFile.open("/dev/null", .readWrite)
      let daemon = try ChildProcess.spawn(
        "\(BuiltProducts.folder)/droverd",
        arguments: ["droverd", "serve", "--state", host.state, "--socket", host.socket],
        environment: ["PATH": "/usr/bin:/bin", "HOME": host.folder.path],
        descriptors: [(null.descriptor, 0), (null.descriptor, 1), (null.descriptor, 2)])
      #expect(try daemon.wait() == .code(5))
      for name in try Folder.list(host.folder.path) where name.hasPrefix("catalog.sqlite") {
        try Folder.rename(host.folder(name), "\(host.state)/\(name)")
      }
      try host.start()
      #expect(try host.status("backingimage", "parrot")["state"] == "ready")
    }

    @Test(.timeLimit(.minutes(6))) func aBackupOfAnImpossibleSize() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 4 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try host.succeed("backup", "create", "image", "parrot", "--wait")
      let config = "\(host.store)/backupstore/backing-images/backing-images/parrot/backing-image.cfg"
      let text = String(decoding: try Folder.readFile(config, limit: 1 << 20), as: UTF8.self)
      try Folder.writeDurably(
        config, Array(text.replacing("\"Size\":\"4194304\"", with: "\"Size\":\"4611686018427387904\"").utf8))
      let output = try host.apply(Manifest.restore("huge", url: "file://\(host.store)?backingImage=parrot"))
      #expect(output.code != 0 && output.code != 11, "\(output)")
      #expect(try host.imageFolders().count == 1)
    }

    static func firstBlock(_ blocks: String) throws -> String? {
      for first in try Folder.list(blocks) where first.count == 2 {
        for second in try Folder.list("\(blocks)/\(first)") {
          if let name = try Folder.list("\(blocks)/\(first)/\(second)").first {
            return "\(blocks)/\(first)/\(second)/\(name)"
          }
        }
      }
      return nil
    }

    static func name(of block: String) -> String {
      String(block.split(separator: "/").last!.dropLast(4))
    }

    @Test(.timeLimit(.minutes(6))) func aSecondDaemonOnTheSameState() throws {
      let host = try DroverHost()
      let null = try OpenFile.open("/dev/null", .readWrite)
      let errors = try OpenFile.open(host.folder("second.err"), .create(permissions: 0o600))
      for socket in [host.folder("second.sock"), host.socket] {
        let second = try ChildProcess.spawn(
          "\(BuiltProducts.folder)/droverd",
          arguments: ["droverd", "serve", "--state", host.state, "--socket", socket],
          environment: ["PATH": "/usr/bin:/bin", "HOME": host.folder.path],
          descriptors: [(null.descriptor, 0), (null.descriptor, 1), (errors.descriptor, 2)])
        #expect(try second.wait() == .code(5))
      }
      // Same socket, other state.
      let third = try ChildProcess.spawn(
        "\(BuiltProducts.folder)/droverd",
        arguments: ["droverd", "serve", "--state", host.folder("other-state"), "--socket", host.socket],
        environment: ["PATH": "/usr/bin:/bin", "HOME": host.folder.path],
        descriptors: [(null.descriptor, 0), (null.descriptor, 1), (errors.descriptor, 2)])
      #expect(try third.wait() == .code(5))
      try host.succeed("status")
    }

    @Test(.timeLimit(.minutes(6))) func anUploadWhoseClientGoesAway() throws {
      let host = try DroverHost()
      #expect(try host.apply(Manifest.image("parrot", "upload", [:]), wait: false).code == 0)
      var client: OpenFile? = try UnixClient.connect(host.socket)
      let head = "PUT /v1/backingimages/parrot/content HTTP/1.1\r\nHost: x\r\nContent-Length: 67108864\r\n\r\n"
      try UnixClient.send(Array(head.utf8) + [UInt8](repeating: 7, count: 6 << 20), to: #require(client))
      try host.until("the upload is in progress", within: 30) {
        try host.status("backingimage", "parrot")["state"] == "in-progress"
      }
      client = nil
      let waited = try host.run("wait", "backingimage/parrot", "--for", "state=failed", "--timeout", "30s")
      #expect(waited.code == 0, "\(waited)")
      let job = try #require(try host.jobs(of: "parrot").first)
      #expect(job["status"]?["error"]?["code"] == "upload-interrupted", "\(job)")
      #expect(try host.imageFolders() == [])
    }
  }
}
