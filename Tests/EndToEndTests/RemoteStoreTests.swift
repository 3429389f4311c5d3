import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// Buckets and exports of real servers as targets: there and back, with the right credentials and with wrong ones, and
  /// with a server that goes and comes.
  @Suite struct RemoteStoreTests {
    private static func secret(
      _ server: RcloneS3, key: String = RcloneS3.secretKey, more: [String: String] = [:]
    ) -> String {
      let values = [
        "AWS_ACCESS_KEY_ID": RcloneS3.accessKey, "AWS_SECRET_ACCESS_KEY": key, "AWS_ENDPOINTS": server.endpoint,
      ].merging(more) { $1 }
      return """
        apiVersion: v1
        kind: Secret
        metadata:
          name: s3-keys
          namespace: longhorn-system
        type: Opaque
        data:
        \(values.map { "  \($0.key): \(Data($0.value.utf8).base64EncodedString())" }.sorted().joined(separator: "\n"))
        """
    }

    private static func target(_ url: String, secret: String? = "s3-keys", poll: String = "0") -> String {
      """
      apiVersion: longhorn.io/v1beta2
      kind: BackupTarget
      metadata:
        name: away
        namespace: longhorn-system
      spec:
        backupTargetURL: "\(url)"
        pollInterval: "\(poll)"
        \(secret.map { "credentialSecret: \($0)" } ?? "")
      """
    }

    private static let bucket = "s3://golden@us-east-1/disk images"

    private func image(_ host: DroverHost, size: UInt64 = 8 << 20) throws -> TestImage {
      let image = try TestImage.make(host.folder("parrot.img"), size: size)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      return image
    }

    /// Backup, look, restore and delete by what a user types.
    private func thereAndBack(_ host: DroverHost, _ image: TestImage, store: () throws -> [String]) throws {
      try host.succeed("backup", "create", "image", "parrot", "--target", "away", "--label", "k=v", "--wait")
      let status = try host.status("bbi", "parrot-away")
      #expect(status["checksum"]?.string == image.sha512)
      let url = try #require(status["url"]?.string)
      let inspected = try host.run("backup", "inspect", url, "-o", "json")
      #expect(inspected.code == 0 && inspected.json["checksum"]?.string == image.sha512, "\(inspected)")
      #expect(inspected.json["labels"]?["k"] == "v", "\(inspected)")
      let listed = try host.run("backup", "list")
      #expect(listed.code == 0 && listed.out.contains("parrot-away"), "\(listed)")
      try host.succeed("image", "create", "back", "--from-backup", url, "--wait")
      #expect(try host.status("bi", "back")["checksum"]?.string == image.sha512)
      let path = try #require(try host.status("bi", "back")["path"]?.string)
      #expect(try TestImage.sha512(of: path) == image.sha512)
      let deleted = try host.run("backup", "delete", "parrot-away", "--wait", "--timeout", "60s")
      #expect(deleted.code == 0, "\(deleted)")
      #expect(try store() == [])
      #expect(try host.run("get", "bbi", "parrot-away").code == 4)
      #expect(try host.run("backup", "inspect", url).code == 4)
    }

    /// Names of files below a folder.
    private func files(below folder: String) throws -> [String] {
      try Folder.list(folder).flatMap { name -> [String] in
        let path = "\(folder)/\(name)"
        return try FileStatus.of(path)?.isFolder == true ? try files(below: path) : [name]
      }
    }

    @Test(.enabled(if: RcloneS3.isMissing == nil, "rclone can't be started here"), .timeLimit(.minutes(6)))
    func aBucketThereAndBack() throws {
      let server = try RcloneS3(buckets: ["golden"])
      let host = try DroverHost()
      let image = try image(host)
      let applied = try host.apply("\(Self.secret(server))\n---\n\(Self.target(Self.bucket))")
      #expect(applied.code == 0, "\(applied)")
      try thereAndBack(host, image) { try files(below: server.root.path).filter { !$0.hasSuffix(".lck") } }
      let kept = try host.run("delete", "secret", "s3-keys")
      #expect(kept.code == 5 && kept.err.contains("backuptarget/away"), "\(kept)")
      // No value of the Secret has gone where it has no business.
      let texts = try [
        host.run("get", "job", "-o", "json").out, host.run("get", "bt", "-o", "json").out,
        host.run("get", "secret", "-o", "json").out, host.run("events").out, host.daemonLog,
      ]
      for text in texts { #expect(!text.contains(RcloneS3.secretKey)) }
      try host.stop()
      try expectNoTrace(of: RcloneS3.secretKey, below: host.folder.path)
    }

    private func expectNoTrace(of text: String, below folder: String) throws {
      for name in try Folder.list(folder) {
        let path = "\(folder)/\(name)"
        if try FileStatus.of(path, followLinks: false)?.isFolder == true {
          try expectNoTrace(of: text, below: path)
        } else if let bytes = FileManager.default.contents(atPath: path), !name.hasPrefix("run-") {
          #expect(bytes.firstRange(of: Data(text.utf8)) == nil, "\(path)")
        }
      }
    }

    @Test(.enabled(if: RcloneNFS.isMissing == nil, "rclone is not here"), .timeLimit(.minutes(6)))
    func anExportThereAndBack() throws {
      let server = try RcloneNFS()
      let host = try DroverHost()
      let image = try image(host)
      let applied = try host.apply(Self.target(server.url, secret: nil))
      #expect(applied.code == 0, "\(applied)")
      try thereAndBack(host, image) { try files(below: server.root.path).filter { !$0.hasSuffix(".lck") } }
      server.stop()
      let gone = try host.apply(Self.target(server.url, secret: nil))
      #expect(gone.code == 10, "\(gone)")
    }

    @Test(.enabled(if: RcloneS3.isMissing == nil, "rclone can't be started here"), .timeLimit(.minutes(6)))
    func credentialsThatAreMissingWrongAndRight() throws {
      let server = try RcloneS3(buckets: ["golden"])
      let host = try DroverHost()
      let image = try image(host)
      // The Secret comes last, as it may in a manifest of several documents.
      let missing = try host.apply(Self.target(Self.bucket), timeout: "60s")
      #expect(missing.code == 8, "\(missing)")
      #expect(try host.status("bt", "away")["conditions"]?.array?.first?["reason"] == "key-missing")
      let waiting = try host.run(
        "backup", "create", "image", "parrot", "--target", "away", "--wait", "--timeout", "60s")
      #expect(waiting.code == 8 && waiting.err.contains("secret/s3-keys"), "\(waiting)")
      let wrong = try host.apply(Self.secret(server, key: "wrong"))
      #expect(wrong.code == 0, "\(wrong)")
      try host.until("the target refuses them", within: 60) {
        try host.status("bt", "away")["conditions"]?.array?.first?["reason"] == "credentials-refused"
      }
      let refused = try host.apply(Self.target(Self.bucket))
      #expect(refused.code == 14, "\(refused)")
      let other = try host.run("backup", "inspect", "\(Self.bucket)?backingImage=parrot")
      #expect(other.code == 14, "\(other)")
      // What waits goes on by itself, and it is the one job.
      let right = try host.apply(Self.secret(server))
      #expect(right.code == 0, "\(right)")
      try host.until("the backup is complete", within: 60) {
        try host.status("bbi", "parrot-away")["state"] == "Completed"
      }
      #expect(try host.jobs(of: "parrot-away").count == 1)
      #expect(try host.status("bbi", "parrot-away")["checksum"]?.string == image.sha512)
      try host.until("the target is available", within: 60) { try host.status("bt", "away")["available"] == true }
    }

    @Test(.enabled(if: RcloneS3.isMissing == nil, "rclone can't be started here"), .timeLimit(.minutes(6)))
    func aServerThatGoesAndComesBack() throws {
      let server = try RcloneS3(buckets: ["golden"])
      let host = try DroverHost()
      let image = try image(host)
      let applied = try host.apply("\(Self.secret(server))\n---\n\(Self.target(Self.bucket, poll: "1s"))")
      #expect(applied.code == 0, "\(applied)")
      server.stop()
      let failed = try host.run(
        "backup", "create", "image", "parrot", "--target", "away", "--wait", "--timeout", "120s")
      #expect(failed.code == 10, "\(failed)")
      let again = try host.apply(Self.target(Self.bucket, poll: "1s"))
      #expect(again.code == 10, "\(again)")
      let second = try RcloneS3(port: server.port, root: server.root)
      // Waiting ends with the error that the job still has until the next look.
      try host.until("the backup is complete", within: 120) {
        try host.status("bbi", "parrot-away")["state"] == "Completed"
      }
      #expect(try host.jobs(of: "parrot-away").count == 1)
      #expect(try host.status("bbi", "parrot-away")["checksum"]?.string == image.sha512)
      withExtendedLifetime(second) {}
    }

    /// The server dies under a backup and comes back: the job goes on, and what it has made can be restored.
    @Test(.enabled(if: RcloneS3.isMissing == nil, "rclone can't be started here"), .timeLimit(.minutes(6)))
    func aServerThatDiesInTheMiddle() throws {
      let server = try RcloneS3(buckets: ["golden"])
      let host = try DroverHost()
      let image = try image(host, size: 48 << 20)
      let applied = try host.apply("\(Self.secret(server))\n---\n\(Self.target(Self.bucket, poll: "1s"))")
      #expect(applied.code == 0, "\(applied)")
      try host.succeed("backup", "create", "image", "parrot", "--target", "away")
      let blocks = server.root("golden/disk images/backupstore/backing-images/blocks")
      try host.until("a block is there", within: 60) { try FileStatus.of(blocks) != nil }
      server.stop()
      try host.until("the job has noticed", within: 120) {
        try host.jobs(of: "parrot-away").contains { $0["status"]?["error"]?.object != nil }
      }
      let second = try RcloneS3(port: server.port, root: server.root)
      // Waiting ends with the error that the job still has until the next look.
      try host.until("the backup is complete", within: 120) {
        try host.status("bbi", "parrot-away")["state"] == "Completed"
      }
      #expect(try host.jobs(of: "parrot-away").count == 1)
      let url = try #require(try host.status("bbi", "parrot-away")["url"]?.string)
      try host.succeed("image", "create", "back", "--from-backup", url, "--wait")
      #expect(try host.status("bi", "back")["checksum"]?.string == image.sha512)
      withExtendedLifetime(second) {}
    }

    /// What is no answer of S3 takes no record away, and neither does another prefix of the same bucket.
    @Test(.enabled(if: RcloneS3.isMissing == nil, "rclone can't be started here"), .timeLimit(.minutes(6)))
    func answersThatMakeNoSense() throws {
      let server = try RcloneS3(buckets: ["golden"])
      let host = try DroverHost()
      _ = try image(host, size: 2 << 20)
      let applied = try host.apply("\(Self.secret(server))\n---\n\(Self.target(Self.bucket))")
      #expect(applied.code == 0, "\(applied)")
      try host.succeed("backup", "create", "image", "parrot", "--target", "away", "--wait")
      try host.succeed("target", "sync", "away")
      // Beside the target's prefix, beginning alike, and above it.
      for prefix in ["golden/disk images 2", "golden", "golden/disk images/x"] {
        let folder = server.root("\(prefix)/backupstore/backing-images/backing-images/foreign")
        try Folder.create(folder)
        try "{}".write(toFile: "\(folder)/backing-image.cfg", atomically: false, encoding: .utf8)
      }
      let garbage = try TestHTTPServer()
      let page = Array("<html><body>Welcome to the proxy</body></html>".utf8)
      let empty = Array("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>".utf8)
      let answers: [(Int, [UInt8], Int32)] = [
        (200, page, 10), (200, [], 10), (404, page, 10), (502, page, 10), (200, empty, 0),
      ]
      for (status, body, code) in answers {
        for path in ["/golden", "/golden/", "/"] { garbage.serve(path) { _ in ScriptedAnswer(status, body: body) } }
        // A file that is not there is so on no server.
        #expect(try host.apply(Self.secret(server, more: ["AWS_ENDPOINTS": garbage.url("")]), wait: false).code == 0)
        let synced = try host.run("target", "sync", "away", "--timeout", "120s")
        #expect(synced.code == code, "\(status) \(body.count): \(synced)")
        #expect(try host.run("backup", "list", "-o", "name").out == "backupbackingimage/parrot-away\n")
      }
      #expect(try host.status("bbi", "parrot-away")["state"] == "Unknown", "an empty bucket takes nothing away")
      #expect(try host.apply(Self.secret(server)).code == 0)
      let back = try host.run("target", "sync", "away")
      #expect(back.code == 0 && back.out.contains(" 1 backups of images"), "\(back)")
      #expect(try host.status("bbi", "parrot-away")["state"] == "Completed")
      #expect(try host.run("backup", "list", "-o", "name").out == "backupbackingimage/parrot-away\n")
    }
  }
}
