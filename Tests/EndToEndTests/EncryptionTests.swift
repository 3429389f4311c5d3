import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// Longhorn's page "Backing Image Encryption", typed as a user would, and what goes beyond it.
  @Suite struct EncryptionTests {
    @Test(.timeLimit(.minutes(3))) func longhornsPage() throws {
      let host = try DroverHost()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: (9 << 20) + 512)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      let applied = try host.apply(
        [
          Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512), Encrypting.secret(),
          Encrypting.clone("parrot-cloned-encrypted", of: "parrot", "encrypt", checksum: image.sha512),
          Encrypting.clone("parrot-cloned-decrypted", of: "parrot-cloned-encrypted", "decrypt"),
        ].joined(separator: "\n---\n"))
      #expect(applied.code == 0, "\(applied)")
      #expect(
        applied.out == """
          backingimage/parrot created
          secret/longhorn-crypto created
          backingimage/parrot-cloned-encrypted created
          backingimage/parrot-cloned-decrypted created

          """)
      #expect(applied.err.contains("spec.checksum is discarded"))

      let sealed = try host.object("backingimage", "parrot-cloned-encrypted")
      #expect(sealed["status"]?["encrypted"] == true && sealed["status"]?["format"] == "raw")
      #expect(sealed["status"]?["size"]?.int == Int64(image.size) + 16_777_216)
      #expect(sealed["spec"]?["secret"] == "longhorn-crypto" && sealed["spec"]?["secretNamespace"] == "longhorn-system")
      #expect(sealed["status"]?["luks"]?["version"] == 2)
      #expect(sealed["status"]?["luks"]?["cipher"] == "aes-xts-plain64")
      #expect(sealed["status"]?["luks"]?["keySize"] == 256)
      #expect(sealed["status"]?["luks"]?["keySlots"]?.array?.count == 1)
      let path = try #require(sealed["status"]?["path"]?.string)
      #expect(Encrypting.opens(path))
      #expect(!Encrypting.opens(path, "another"))
      #expect(try Encrypting.files(with: Encrypting.marker, below: path).isEmpty)
      let uuid = try #require(sealed["status"]?["luks"]?["uuid"]?.string)
      let described = try host.run("describe", "backingimage", "parrot-cloned-encrypted")
      for text in ["aes-xts-plain64", uuid, "keySlots", "argon2i"] { #expect(described.out.contains(text)) }

      let plain = try host.object("backingimage", "parrot-cloned-decrypted")
      #expect(plain["status"]?["encrypted"] == false && plain["status"]?["secret"] == nil)
      #expect(plain["status"]?["checksum"]?.string == image.sha512)
      #expect(try TestImage.sha512(of: #require(plain["status"]?["path"]?.string)) == image.sha512)
      // A hole is a hole again.
      #expect(try #require(plain["status"]?["realSize"]?.int) < Int64(image.size) - 3 * (1 << 20))

      let again = try host.apply(Encrypting.clone("parrot-cloned-encrypted", of: "parrot", "encrypt"))
      #expect(again.out == "backingimage/parrot-cloned-encrypted unchanged\n")
      let shown = try host.run("get", "secret", "longhorn-crypto", "-o", "yaml")
      #expect(shown.code == 0 && !shown.out.contains(Encrypting.passphrase) && shown.out.contains("CRYPTO_KEY_VALUE"))
      let refused = try host.run("delete", "secret", "longhorn-crypto")
      #expect(refused.code == 5 && refused.err.contains("backingimage/parrot-cloned-encrypted"), "\(refused)")
      let changed = try host.apply(Encrypting.secret("longhorn-crypto", "another"))
      #expect(changed.code == 5 && changed.err.contains("backingimage/parrot-cloned-encrypted"), "\(changed)")

      #expect(try host.stop() == .code(0))
      // Neither in the catalog nor in a log, and in no file of the command line's but the manifests that held it.
      #expect(try Encrypting.files(with: Encrypting.passphrase, below: host.state).isEmpty)
      #expect(
        try Encrypting.files(with: Encrypting.passphrase, below: host.folder.path).allSatisfy { $0.hasSuffix(".in") })
    }

    @Test(.timeLimit(.minutes(3))) func aBackupNamesTheSecretAndARestoreTakesItOver() throws {
      let host = try DroverHost()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: 5 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path).code == 0)
      #expect(try host.apply(Encrypting.secret(namespace: "prod")).code == 0)
      let sealed = try host.run(
        "image", "create", "sealed", "--from-image", "parrot", "--encrypt", "--secret", "prod/longhorn-crypto", "--wait"
      )
      #expect(sealed.code == 0, "\(sealed)")
      #expect(try host.apply(Manifest.backup("sealed")).code == 0)
      let backup = try host.status("backupbackingimage", "sealed")
      #expect(backup["secret"] == "longhorn-crypto" && backup["secretNamespace"] == "prod")
      let url = try #require(backup["url"]?.string)
      let config = "\(host.store)/backupstore/backing-images/backing-images/sealed/backing-image.cfg"
      let text = String(decoding: try Folder.readFile(config, limit: 1 << 20), as: UTF8.self)
      #expect(text.contains(#""Secret":"longhorn-crypto","SecretNamespace":"prod""#))
      #expect(try Encrypting.files(with: Encrypting.marker, below: host.store).isEmpty)

      let restored = try host.apply(Manifest.restore("restored", url: url))
      #expect(restored.code == 0, "\(restored)")
      let status = try host.status("backingimage", "restored")
      #expect(status["encrypted"] == true && status["secret"] == "longhorn-crypto")
      #expect(status["secretNamespace"] == "prod")

      // Another host has the store, but not the secret.
      let other = try DroverHost()
      #expect(try other.apply(Manifest.restore("restored", url: url)).code == 0)
      var there = try other.status("backingimage", "restored")
      #expect(there["encrypted"] == true && there["secret"] == nil)
      #expect(there["message"]?.string?.contains("prod/longhorn-crypto") == true)
      let missing = try other.run(
        "image", "create", "plain", "--from-backup", url, "--decrypt", "--secret", "prod/longhorn-crypto")
      #expect(missing.code == 8, "\(missing)")
      let created = try other.run(
        "secret", "create", "prod/longhorn-crypto", "--passphrase-fd", "0", input: Encrypting.passphrase)
      #expect(created.code == 0 && created.out == "secret/longhorn-crypto created\n", "\(created)")
      there = try other.status("backingimage", "restored")
      #expect(there["secret"] == "longhorn-crypto" && there["message"] == "")
      let plain = try other.run(
        "image", "create", "plain", "--from-backup", url, "--decrypt", "--secret", "prod/longhorn-crypto", "--wait")
      #expect(plain.code == 0, "\(plain)")
      let result = try other.status("backingimage", "plain")
      #expect(result["encrypted"] == false && result["secret"] == nil)
      #expect(result["checksum"]?.string == image.sha512)
    }

    @Test(.timeLimit(.minutes(3))) func anotherPassphrase() throws {
      let host = try DroverHost()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: 5 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path).code == 0)
      #expect(try host.apply(Encrypting.secret()).code == 0)
      #expect(try host.apply(Encrypting.secret("next", "the next one", namespace: "prod")).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt")).code == 0)
      let rekeyed = try host.run(
        "image", "create", "other", "--from-image", "sealed", "--rekey", "--secret", "longhorn-crypto",
        "--new-secret", "prod/next", "--wait")
      #expect(rekeyed.code == 0, "\(rekeyed)")
      let status = try host.status("backingimage", "other")
      #expect(status["encrypted"] == true && status["secret"] == "next" && status["secretNamespace"] == "prod")
      let path = try #require(status["path"]?.string)
      #expect(Encrypting.opens(path, "the next one"))
      #expect(!Encrypting.opens(path))
      #expect(try host.apply(Encrypting.clone("plain", of: "other", "decrypt", "next", namespace: "prod")).code == 0)
      #expect(try host.status("backingimage", "plain")["checksum"]?.string == image.sha512)
    }

    @Test(.timeLimit(.minutes(3))) func whatIsRefusedLeavesNothing() throws {
      let host = try DroverHost()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: 5 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path).code == 0)
      let secrets = [
        Encrypting.secret(), Encrypting.secret("wrong", "no"), Encrypting.secret("vault", provider: "vault"),
        Encrypting.secret("empty", ""),
      ]
      #expect(try host.apply(secrets.joined(separator: "\n---\n")).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt")).code == 0)
      let before = try host.imageFolders()
      for (manifest, code, words) in [
        (
          Encrypting.clone("ab", of: "sealed", "encrypt"), 5,
          "cannot re-encrypt the backing image, sealed is already encrypted"
        ),
        (
          Encrypting.clone("ab", of: "parrot", "decrypt"), 5,
          "cannot re-decrypt the backing image, parrot is already decrypted"
        ),
        (
          Encrypting.clone("ab", of: "parrot", "encrypt", "absent"), 8,
          "failed to get the secret absent in the namespace longhorn-system"
        ),
        (Encrypting.clone("ab", of: "parrot", "encrypt", "empty"), 8, "missing passphrase for encryption"),
        (Encrypting.clone("ab", of: "parrot", "encrypt", "vault"), 2, "unsupported key provider vault for encryption"),
        (
          Encrypting.clone("ab", of: "parrot", "encrypt", ""), 2,
          "secret is not provided for encryption or decryption during cloneing"
        ),
        (Encrypting.clone("ab", of: "parrot", "scramble"), 2, "encryption scramble is not supported"),
        (Encrypting.clone("ab", of: "parrot", ""), 2, "encryption should not be empty for cloning"),
      ] as [(String, Int32, String)] {
        let refused = try host.apply(manifest)
        #expect(refused.code == code && refused.err.contains(words), "\(refused)")
        #expect(try host.run("get", "backingimage", "ab").code == 4)
      }
      let wrong = try host.apply(Encrypting.clone("opened", of: "sealed", "decrypt", "wrong"))
      #expect(wrong.code == 8, "\(wrong)")
      #expect(try host.jobs(of: "opened").first?["status"]?["attempt"] == 1)
      #expect(try host.imageFolders() == before)

      // The right passphrase in the same secret, and the job goes on.
      #expect(try host.apply(Encrypting.secret("wrong")).out == "secret/wrong configured\n")
      let id = try #require(try host.jobs(of: "opened").first?["metadata"]?["name"]?.string)
      #expect(try host.run("job", "retry", id).code == 0)
      #expect(try host.run("wait", "backingimage/opened", "--timeout", "60s").code == 0)
      #expect(try host.status("backingimage", "opened")["checksum"]?.string == image.sha512)
    }

    @Test(.timeLimit(.minutes(3))) func aLostKeyStopsTheWorkAndNothingElse() throws {
      let host = try DroverHost()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: 5 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path).code == 0)
      #expect(try host.apply(Encrypting.secret()).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt")).code == 0)
      try host.stop()
      let file = "\(host.state)/keys/sealing.key"
      #expect(try #require(try FileStatus.of(file)).permissions == 0o600)
      #expect(try #require(try FileStatus.of("\(host.state)/keys")).permissions == 0o700)
      try Folder.rename(file, host.folder("sealing.key"))
      try host.start()
      let lost = try host.apply(Encrypting.clone("opened", of: "sealed", "decrypt"))
      #expect(lost.code == 8 && lost.err.contains(file), "\(lost)")
      #expect(try host.apply(Encrypting.secret("new")).code == 8)
      #expect(try host.run("get", "secret", "-o", "name").out == "secret/longhorn-crypto\n")
      #expect(try host.status("backingimage", "sealed")["state"] == "ready")
      try Folder.rename(host.folder("sealing.key"), file)
      #expect(try host.apply(Encrypting.clone("opened", of: "sealed", "decrypt")).code == 0)
      #expect(try host.status("backingimage", "opened")["checksum"]?.string == image.sha512)
    }

    /// Whether the image's job has come so many sevenths of its way, or is over.
    private static func hasCome(_ sevenths: Int, of image: String, on host: DroverHost) throws -> Bool {
      guard sevenths > 0 else { return true }
      guard let status = try host.jobs(of: image).first?["status"] else { return false }
      if ["succeeded", "failed", "cancelled"].contains(status["state"]?.string ?? "") { return true }
      guard let done = status["bytesDone"]?.int, let total = status["bytesTotal"]?.int, total > 0 else { return false }
      return done * 7 >= total * Int64(sevenths - 1) && done > 0
    }

    @Test(.timeLimit(.minutes(5))) func aKillAtAnyMomentLeavesNoPlainBytes() throws {
      let host = try DroverHost()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: 96 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path).code == 0)
      let source = try #require(try host.status("backingimage", "parrot")["path"]?.string)
      #expect(
        try Encrypting.files(with: Encrypting.marker, below: host.state) == [source], "the search finds what is there")
      #expect(try host.apply(Encrypting.secret()).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt"), wait: false).code == 0)
      for moment in 0..<8 {
        // From before the key derivation to after the end.
        try host.until("moment \(moment) of the copy has come", within: 60) {
          try Self.hasCome(moment, of: "sealed", on: host)
        }
        #expect(try host.stop(signal: SIGKILL) == .signal(SIGKILL))
        #expect(
          try Encrypting.files(with: Encrypting.marker, below: host.state) == [source], "killed at moment \(moment)")
        #expect(try Encrypting.files(with: Encrypting.passphrase, below: host.state).isEmpty)
        try host.start()
      }
      let waited = try host.run("wait", "backingimage/sealed", "--timeout", "120s")
      #expect(waited.code == 0, "\(waited)")
      #expect(try Encrypting.files(with: Encrypting.marker, below: host.state) == [source])
      #expect(try host.apply(Encrypting.clone("opened", of: "sealed", "decrypt")).code == 0)
      #expect(try host.status("backingimage", "opened")["checksum"]?.string == image.sha512)
      #expect(try host.run("delete", "backingimage", "opened", "--wait").code == 0)
      #expect(try Encrypting.files(with: Encrypting.marker, below: host.state) == [source])

      // A decryption that is killed and given up leaves nothing plain either.
      #expect(try host.apply(Encrypting.clone("opened", of: "sealed", "decrypt"), wait: false).code == 0)
      try host.until("the copy has begun", within: 60) { try Self.hasCome(1, of: "opened", on: host) }
      #expect(try host.stop(signal: SIGKILL) == .signal(SIGKILL))
      try host.start()
      #expect(try host.run("delete", "backingimage", "opened", "--wait", "--timeout", "60s").code == 0)
      #expect(try Encrypting.files(with: Encrypting.marker, below: host.state) == [source])
    }

    @Test(.timeLimit(.minutes(5)), .enabled(if: Effects.library != nil, "needs a C compiler, and no sanitizer"))
    func aDeathAtAnyStepLeavesNoPlainBytes() throws {
      let host = try DroverHost(
        configuration: "jobs: {attempts: 100, backoffMax: 1s}\n", faulty: true, start: false)
      // Only the order of an encryption has this parameter.
      let faults = stride(from: 1, through: 90, by: 5).enumerated().map { index, step in
        Effects.Fault(
          id: index + 1, after: index, role: .worker, step: step, how: "kill-both", pattern: "keySize")
      }
      try host.effects?.plan(faults)
      try host.start()
      let image = try Encrypting.markedImage(host.folder("parrot.img"), size: 9 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      let source = try #require(try host.status("backingimage", "parrot")["path"]?.string)
      #expect(try host.apply(Encrypting.secret()).code == 0)
      #expect(try host.apply(Encrypting.clone("sealed", of: "parrot", "encrypt"), wait: false).code == 0)
      var deaths = 0
      while true {
        try host.until("it dies or is done", within: 60) {
          guard host.daemonRuns else { return true }
          return (try? host.status("backingimage", "sealed")["state"]) == "ready"
        }
        guard !host.daemonRuns else { break }
        deaths += 1
        try host.stop(signal: SIGKILL)
        #expect(try Encrypting.files(with: Encrypting.marker, below: host.state) == [source], "death \(deaths)")
        #expect(try Encrypting.files(with: Encrypting.passphrase, below: host.state).isEmpty, "death \(deaths)")
        // It may die again before it answers.
        try host.launch()
      }
      #expect(deaths > 4, "it died \(deaths) times")
      #expect(try Encrypting.files(with: Encrypting.marker, below: host.state) == [source])
      let path = try #require(try host.status("backingimage", "sealed")["path"]?.string)
      #expect(Encrypting.opens(path))
      #expect(try host.apply(Encrypting.clone("opened", of: "sealed", "decrypt")).code == 0)
      #expect(try host.status("backingimage", "opened")["checksum"]?.string == image.sha512)
    }
  }
}
