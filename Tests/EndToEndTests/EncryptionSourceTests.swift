import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// What is encrypted and decrypted, wherever it comes from; and that a refusal leaves nothing.
  @Suite struct EncryptionSourceTests {
    private static let qemu = "/usr/bin/qemu-img"

    private func leavesNothing(_ host: DroverHost, _ body: () throws -> Void) throws {
      let before = try host.imageFolders()
      try body()
      #expect(try host.imageFolders() == before)
    }

    // MARK: qcow2

    @Test(.timeLimit(.minutes(3)), arguments: ["cluster_size=65536", "compression_type=zlib", "compression_type=zstd"])
    func aQcow2ImageBecomesAnEncryptedRawOneInOnePass(_ option: String) throws {
      let host = try DroverHost()
      // Text compresses; the hole at its end is zero for the guest.
      let raw = host.folder("raw")
      var noise = Noise(seed: 3)
      let plain =
        Array(repeating: Array("\(Encrypting.marker), ".utf8), count: 20_000).flatMap { $0 }.prefix(500_000)
        + noise.bytes(200_000)
      try Folder.writeDurably(raw, Array(plain))
      try OpenFile.open(raw, .readWrite).truncate(to: (1 << 20) + 512)
      let checksum = try TestImage.sha512(of: raw)
      let isPacked = option.hasPrefix("compression")
      try Cryptsetup.run(
        Self.qemu, ["convert", "-O", "qcow2"] + (isPacked ? ["-c"] : []) + ["-o", option, raw, host.folder("qcow2")])
      try host.succeed("image", "create", "parrot", "--from-file", host.folder("qcow2"), "--wait")
      let source = try #require(try host.status("backingimage", "parrot")["path"]?.string)
      #expect(try host.apply(Encrypting.secret()).code == 0)

      try host.succeed(
        "image", "create", "sealed", "--from-image", "parrot", "--encrypt", "--secret",
        "longhorn-system/longhorn-crypto", "--wait")
      let status = try host.status("backingimage", "sealed")
      #expect(status["format"] == "raw" && status["encrypted"] == true)
      #expect(status["size"]?.int == (1 << 20) + 512 + (16 << 20) && status["virtualSize"] == status["size"])
      #expect(try host.jobs(of: "sealed").count == 1)
      let path = try #require(status["path"]?.string)
      #expect(try Encrypting.plainBytes(of: path) == Folder.readFile(raw, limit: 2 << 20))
      #expect(try Encrypting.files(with: Encrypting.marker, below: host.state).allSatisfy { $0 == source })

      // And back, where it is the disk of the qcow2 and not its file.
      #expect(try host.apply(Encrypting.clone("opened", of: "sealed", "decrypt")).code == 0)
      let opened = try host.status("backingimage", "opened")
      #expect(opened["checksum"]?.string == checksum && opened["encrypted"] == false && opened["format"] == "raw")
      try Cryptsetup.run(
        Self.qemu, ["compare", "-f", "raw", "-F", "qcow2", #require(opened["path"]?.string), host.folder("qcow2")])

      try leavesNothing(host) {
        let refused = try host.apply(Encrypting.clone("ab", of: "parrot", "decrypt"))
        #expect(refused.code == 5 && refused.err.contains("parrot is already decrypted"), "\(refused)")
      }
    }

    // MARK: Backups

    @Test(.timeLimit(.minutes(3))) func aBackupIsRestoredAndDecryptedInOnePass() throws {
      let host = try DroverHost()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: (9 << 20) + 512)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      let secrets = [Encrypting.secret(), Encrypting.secret("wrong", "no")]
      #expect(try host.apply(secrets.joined(separator: "\n---\n")).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt")).code == 0)
      try host.succeed("backup", "create", "image", "sealed", "--wait")
      try host.succeed("backup", "create", "image", "parrot", "--wait")
      let url = try #require(try host.status("backupbackingimage", "sealed")["url"]?.string)

      let restored = try host.apply(Encrypting.restore("opened", url: url))
      #expect(restored.code == 0, "\(restored)")
      let opened = try host.status("backingimage", "opened")
      #expect(opened["checksum"]?.string == image.sha512 && opened["encrypted"] == false && opened["secret"] == nil)
      #expect(opened["size"]?.int == Int64(image.size))
      #expect(try #require(opened["realSize"]?.int) < Int64(image.size) - 3 * (1 << 20), "holes are holes")

      try leavesNothing(host) {
        let wrong = try host.apply(Encrypting.restore("closed", url: url, "wrong"))
        #expect(wrong.code == 8, "\(wrong)")
        #expect(try host.jobs(of: "closed").first?["status"]?["attempt"] == 1)
        let missing = try host.apply(Encrypting.restore("closed-2", url: url, "absent"))
        #expect(missing.code == 8 && missing.err.contains("failed to get the secret absent"), "\(missing)")
        let plain = try #require(try host.status("backupbackingimage", "parrot")["url"]?.string)
        let decrypted = try host.apply(Encrypting.restore("closed-3", url: plain))
        #expect(decrypted.code == 5 && decrypted.err.contains("already decrypted"), "\(decrypted)")
      }
    }

    // MARK: cryptsetup's

    @Test(
      .timeLimit(.minutes(3)),
      arguments: [
        ["--type", "luks1", "--pbkdf-force-iterations", "1000"],
        [
          "--type", "luks2", "--sector-size", "4096", "--key-size", "512", "--pbkdf", "argon2id", "--pbkdf-memory",
          "64",
          "--pbkdf-force-iterations", "4",
        ],
      ])
    func whatCryptsetupMadeIsDecryptedAndReKeyed(_ options: [String]) throws {
      let host = try DroverHost()
      let passphrase = Array("with a line end\n".utf8) + [0, 0xFF, 10]
      let file = try OpenFile.open(host.folder("foreign"), .createNew(permissions: 0o600))
      try file.truncate(to: 18 << 20)
      try Cryptsetup.format(file.path, passphrase, options)
      let sectorSize = options.contains("4096") ? 4096 : 512
      let dataOffset: UInt64 = options.contains("luks1") ? 2 << 20 : 16 << 20
      let size = Int((18 << 20) - dataOffset)
      var noise = Noise(seed: 5)
      let plain = noise.bytes(100 * 4096)
      let key = try Cryptsetup.volumeKey(file.path, passphrase)
      try OtherXTS.apply(plain, key: key, encrypt: true, sectorSize: sectorSize).withUnsafeBytes {
        try file.write($0, at: dataOffset)
      }
      try host.succeed("image", "create", "foreign", "--from-file", file.path, "--wait")
      let status = try host.status("backingimage", "foreign")
      #expect(status["encrypted"] == true && status["luks"]?["version"]?.int == (dataOffset == 2 << 20 ? 1 : 2))
      #expect(status["luks"]?["sectorSize"]?.int == Int64(sectorSize))
      // Bytes that no text holds.
      let secret = """
        apiVersion: v1
        kind: Secret
        metadata: {name: longhorn-crypto, namespace: longhorn-system}
        data: {CRYPTO_KEY_VALUE: "d2l0aCBhIGxpbmUgZW5kCgD/Cg=="}
        """
      #expect(try host.apply([secret, Encrypting.secret("next", "next")].joined(separator: "\n---\n")).code == 0)

      let opened = try host.apply(Encrypting.clone("opened", of: "foreign", "decrypt"))
      #expect(opened.code == 0, "\(opened)")
      let path = try #require(try host.status("backingimage", "opened")["path"]?.string)
      let bytes = try Folder.readFile(path, limit: 32 << 20)
      #expect(bytes.count == size && Array(bytes[..<plain.count]) == plain)

      try host.succeed(
        "image", "create", "other", "--from-image", "foreign", "--rekey", "--secret", "longhorn-system/longhorn-crypto",
        "--new-secret", "longhorn-system/next", "--wait")
      let rekeyed = try #require(try host.status("backingimage", "other")["path"]?.string)
      #expect(Encrypting.opens(rekeyed, "next") && !Cryptsetup.opens(rekeyed, passphrase))
      #expect(try Cryptsetup.volumeKey(rekeyed, Array("next".utf8)) == key)
      try leavesNothing(host) {
        let wrong = try host.run(
          "image", "create", "ab", "--from-image", "foreign", "--rekey", "--secret", "longhorn-system/next",
          "--new-secret", "longhorn-system/next", "--wait")
        #expect(wrong.code == 8, "\(wrong)")
      }
    }

    // MARK: What the machine does not have

    @Test(.timeLimit(.minutes(3))) func noSpaceForTheHeader() throws {
      let host = try DroverHost(configuration: "reserve: 0\n", start: false)
      let disk: MountedMemory
      do { disk = try MountedMemory(host.state, megabytes: 96) } catch {
        print("skipped: \(error)")
        return
      }
      defer { withExtendedLifetime(disk) {} }
      defer { _ = try? host.stop() }
      try host.start()
      let image = try TestImage.make(host.folder("parrot.img"), size: 24 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      #expect(try host.apply(Encrypting.secret()).code == 0)
      // Less than is left would do for the image, and more for it and its header.
      let free = try Folder.freeBytes(host.state)
      try Folder.writeDurably("\(host.state)/ballast", [UInt8](repeating: 1, count: Int(free - (32 << 20))))
      try leavesNothing(host) {
        let refused = try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt"))
        #expect(refused.code == 9 && refused.err.contains("\(40 << 20) bytes are needed"), "\(refused)")
      }
      // With room it goes on.
      try Folder.remove(file: "\(host.state)/ballast")
      let job = try #require(try host.jobs(of: "sealed").first?["metadata"]?["name"]?.string)
      try host.succeed("job", "retry", job)
      let waited = try host.run("wait", "backingimage/sealed", "--timeout", "60s")
      #expect(waited.code == 0, "\(waited)")
    }

    @Test(.timeLimit(.minutes(3))) func memoryForADerivationThatCantBeHad() throws {
      let host = try DroverHost(start: false)
      // Of the worker's own. Twice as much as everything but the derivation takes.
      host.limits = "ulimit -d 1000000"
      try host.start()
      let image = try TestImage.make(host.folder("parrot.img"), size: 4 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      let greedy = Encrypting.secret("greedy", settings: ["CRYPTO_PBKDF_MEMORY": "1500000"])
      #expect(try host.apply([greedy, Encrypting.secret()].joined(separator: "\n---\n")).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt", "greedy"), wait: false).code == 0)
      try host.until("the job says what it lacks", within: 60) {
        try host.jobs(of: "sealed").first?["status"]?["error"]?["code"] == "no-memory"
      }
      let error = try #require(try host.jobs(of: "sealed").first?["status"]?["error"])
      #expect(error["message"]?.string?.contains("1500000 KiB of memory") == true, "\(error)")
      #expect(error["hint"]?.string?.contains("CRYPTO_PBKDF_MEMORY") == true, "\(error)")
      // What takes less is not in its way; and what is given up leaves nothing.
      #expect(try host.apply(Encrypting.clone("other", of: "parrot", "encrypt")).code == 0)
      try host.succeed("delete", "backingimage", "sealed", "--wait", "--timeout", "60s")
      #expect(try host.imageFolders().count == 2)
    }

    // MARK: What the machine has

    @Test(.timeLimit(.minutes(3))) func aReKeyedImageSharesItsBlocks() throws {
      let host = try DroverHost(configuration: "reserve: 0\n", start: false)
      let disk: MountedXFS
      do { disk = try MountedXFS(host.state, file: host.folder("xfs"), megabytes: 640) } catch {
        print("skipped: \(error)")
        return
      }
      defer { withExtendedLifetime(disk) {} }
      defer { _ = try? host.stop() }
      try host.start()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: 96 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      let secrets = [Encrypting.secret(), Encrypting.secret("next", "the next one")]
      #expect(try host.apply(secrets.joined(separator: "\n---\n")).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt")).code == 0)
      func growth(_ body: () throws -> Void) throws -> UInt64 {
        sync()
        let before = try Folder.freeBytes(host.state)
        try body()
        sync()
        return before - min(before, try Folder.freeBytes(host.state))
      }
      let cloned = try growth {
        try host.succeed("image", "create", "copy", "--from-image", "sealed", "--wait")
      }
      #expect(cloned < 8 << 20, "\(cloned) bytes for a clone of \(image.size)")
      let rekeyed = try growth {
        try host.succeed(
          "image", "create", "other", "--from-image", "sealed", "--rekey", "--secret",
          "longhorn-system/longhorn-crypto",
          "--new-secret", "longhorn-system/next", "--wait")
        try host.until("the header of the job is gone", within: 30) {
          let job = try #require(try host.jobs(of: "other").first?["metadata"]?["name"]?.string)
          return try !Folder.list("\(host.state)/jobs/\(job)").contains("rekey.header")
        }
      }
      #expect(rekeyed < 24 << 20, "\(rekeyed) bytes for a header of 16 MiB over \(image.size) that are there")
      let path = try #require(try host.status("backingimage", "other")["path"]?.string)
      #expect(Encrypting.opens(path, "the next one") && !Encrypting.opens(path))
      #expect(try host.status("backingimage", "other")["checksum"]?.string == TestImage.sha512(of: path))
      #expect(try host.apply(Encrypting.clone("opened", of: "other", "decrypt", "next")).code == 0)
      #expect(try host.status("backingimage", "opened")["checksum"]?.string == image.sha512)
    }

    // MARK: One derivation at a time

    @Test(.timeLimit(.minutes(3))) func aDerivationWaitsForAnotherProcess() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 4 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      #expect(try host.apply(Encrypting.secret()).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt")).code == 0)
      // This process derives, as a worker does.
      var lock: OpenFile? = try OpenFile.open("\(host.state)/keys/derivation.lock", .create(permissions: 0o600))
      #expect(try lock?.tryLockExclusive() == true)
      let waiting = ["one": ("parrot", "encrypt"), "two": ("parrot", "encrypt"), "three": ("sealed", "decrypt")]
      for (name, (source, work)) in waiting {
        #expect(try host.apply(Encrypting.clone(name, of: source, work), wait: false).code == 0)
      }
      for name in waiting.keys.prefix(2) {
        try host.until("\(name) waits, or for a worker", within: 60) {
          let status = try host.jobs(of: name).first?["status"]
          return status?["phase"] == "waiting for another key derivation" || status?["state"] == "queued"
        }
      }
      // A Secret that running work needs stays as it is.
      let changed = try host.apply(Encrypting.secret("longhorn-crypto", "another"))
      #expect(changed.code == 5 && changed.err.contains("backingimage/one"), "\(changed)")
      let deleted = try host.run("delete", "secret", "longhorn-crypto")
      #expect(deleted.code == 5 && deleted.err.contains("backingimage/three"), "\(deleted)")
      // A cancel is heard.
      #expect(try host.run("delete", "backingimage", "two", "--wait", "--timeout", "30s").code == 0)
      lock = nil
      for name in ["one", "three"] {
        let waited = try host.run("wait", "backingimage/\(name)", "--timeout", "60s")
        #expect(waited.code == 0, "\(waited)")
      }
      #expect(try host.status("backingimage", "three")["checksum"]?.string == image.sha512)
    }

    // MARK: Odd settings

    @Test(.timeLimit(.minutes(3))) func aSettingThatCantBeIsNamed() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 1 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      let odd = [
        ("CRYPTO_KEY_SIZE", "384", "CRYPTO_KEY_SIZE is \"384\""), ("CRYPTO_KEY_SIZE", "256 bits", "CRYPTO_KEY_SIZE"),
        ("CRYPTO_KEY_CIPHER", "aes-cbc-essiv:sha256", "CRYPTO_KEY_CIPHER is \"aes-cbc-essiv:sha256\""),
        ("CRYPTO_PBKDF", "scrypt", "CRYPTO_PBKDF is \"scrypt\""),
        ("CRYPTO_PBKDF_FORCE_ITERATIONS", "1", "CRYPTO_PBKDF_FORCE_ITERATIONS is \"1\""),
        ("CRYPTO_PBKDF_MEMORY", "5000000", "CRYPTO_PBKDF_MEMORY is \"5000000\""),
        // Which hashes there are only libcryptsetup knows, so it is asked by the job.
        ("CRYPTO_KEY_HASH", "md99", "md99"),
      ]
      let secrets = odd.enumerated().map { Encrypting.secret("odd-\($0)", settings: [$1.0: $1.1]) }
      #expect(try host.apply(secrets.joined(separator: "\n---\n")).code == 0)
      try leavesNothing(host) {
        for (number, (key, value, words)) in odd.enumerated() {
          let refused = try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt", "odd-\(number)"))
          #expect(refused.code == 2 && refused.err.contains(words), "\(key) \(value): \(refused)")
        }
      }
      // The one that a job has refused goes on when it is corrected.
      #expect(try host.apply(Encrypting.secret("odd-6")).code == 0)
      let job = try #require(try host.jobs(of: "sealed").first?["metadata"]?["name"]?.string)
      try host.succeed("job", "retry", job)
      let waited = try host.run("wait", "backingimage/sealed", "--timeout", "60s")
      #expect(waited.code == 0, "\(waited)")
    }
  }
}
