import Dispatch
import DroverModel
import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

extension EndToEnd {
  /// Two daemons of two hosts that know nothing of each other have one store: they back up, delete and collect at the same
  /// time, images with blocks in common and one that both have. Whatever is in the store then is whole.
  ///
  /// A round or two; `./dev test --soak` goes on for half of DROVER_SOAK_MINUTES on each kind of store.
  @Suite struct SharedStoreTests {
    private static let seconds = Soak.isWanted ? Double(Soak.minutes) * 30 : 0

    @Test(.timeLimit(.minutes(Soak.isWanted ? Soak.minutes / 2 + 30 : 8))) func aFolder() throws {
      let folder = TemporaryFolder("shared")
      try share(at: folder.path, manifest: Self.target("file://\(folder.path)"), rounds: 2)
    }

    @Test(
      .enabled(if: RcloneS3.isMissing == nil, "rclone can't be started here"),
      .timeLimit(.minutes(Soak.isWanted ? Soak.minutes / 2 + 30 : 8)))
    func aBucket() throws {
      let server = try RcloneS3(buckets: ["golden"])
      let values = [
        "AWS_ACCESS_KEY_ID": RcloneS3.accessKey, "AWS_SECRET_ACCESS_KEY": RcloneS3.secretKey,
        "AWS_ENDPOINTS": server.endpoint,
      ]
      let data = values.map { "  \($0.key): \(Data($0.value.utf8).base64EncodedString())" }.sorted()
      let secret = """
        apiVersion: v1
        kind: Secret
        metadata:
          name: s3-keys
          namespace: longhorn-system
        type: Opaque
        data:
        \(data.joined(separator: "\n"))
        """
      let url = "s3://golden@us-east-1/"
      try share(
        at: server.root("golden"), manifest: "\(secret)\n---\n\(Self.target(url, secret: "s3-keys"))", rounds: 1)
      withExtendedLifetime(server) {}
    }

    private static func target(_ url: String, secret: String? = nil) -> String {
      """
      apiVersion: longhorn.io/v1beta2
      kind: BackupTarget
      metadata:
        name: shared
        namespace: longhorn-system
      spec:
        backupTargetURL: "\(url)"
        pollInterval: "0"
        \(secret.map { "credentialSecret: \($0)" } ?? "")
      """
    }

    /// One of the two, and what it has to back up.
    private struct Member: Sendable {
      var host: DroverHost
      /// SHA-512 by name.
      var images: [String: String]
    }

    /// - Parameters:
    ///   - folder: Where the store's objects lie.
    ///   - rounds: At least.
    private func share(at folder: String, manifest: String, rounds: Int) throws {
      let seed = UInt64(WallClock.nanoseconds()) % 1_000_000
      let members = try [1, 2].map { number in try member(number, manifest) }
      let problems = Mutex<[String]>([])
      let end = BootClock.seconds() + Self.seconds
      DispatchQueue.concurrentPerform(iterations: members.count) { index in
        var noise = Noise(seed: seed &+ UInt64(index))
        var round = 0
        while round < rounds || BootClock.seconds() < end, problems.withLock({ $0.isEmpty }) {
          round += 1
          do {
            try self.round(members[index], &noise)
          } catch {
            problems.withLock { $0.append("host \(index + 1), round \(round): \(error)") }
          }
        }
      }
      let found = problems.withLock { $0 }
      try #require(found.isEmpty, "seed \(seed): \(found.joined(separator: "\n"))")
      try checkAll(members, at: folder)
    }

    private func member(_ number: Int, _ manifest: String) throws -> Member {
      let host = try DroverHost()
      let applied = try host.apply(manifest)
      try #require(applied.code == 0, "\(applied)")
      var images: [String: String] = [:]
      // Of the noise each has its own, of the text all have the same block.
      for (name, seed) in [("common", 7), ("own-\(number)", UInt64(number)), ("more-\(number)", 10 + UInt64(number))] {
        let image = try TestImage.make(host.folder("\(name).img"), size: 6 << 20, seed: seed)
        try host.succeed("image", "create", name, "--from-file", image.path, "--wait")
        images[name] = image.sha512
      }
      return Member(host: host, images: images)
    }

    /// Backs up everything at once, then deletes and collects, while the other one does the same in an order of its own.
    private func round(_ member: Member, _ noise: inout Noise) throws {
      let host = member.host
      let backups = try member.images.keys.shuffled(using: &noise).map { name in
        try host.begin([
          "backup", "create", "image", name, "--target", "shared", "--wait", "--timeout", "240s",
        ])
      }
      for backup in backups {
        let output = try backup.end()
        // The other one has deleted it since it was looked at.
        guard output.code == 0 || output.code == 4 else { throw DeadlineExceeded(description: "backup: \(output)") }
      }
      let deleted = member.images.keys.randomElement(using: &noise)!
      var commands = [["backup", "delete", "\(deleted)-shared", "--wait", "--timeout", "240s"]]
      commands.append(["target", "gc", "shared", "--timeout", "240s"])
      for run in try commands.shuffled(using: &noise).map({ try host.begin($0) }) {
        let output = try run.end()
        // 4: it is deleted already. 5: something is in doubt at this moment, so nothing is collected.
        guard [0, 4, 5].contains(output.code) else { throw DeadlineExceeded(description: "\(deleted): \(output)") }
      }
      try host.succeed("target", "sync", "shared")
    }

    /// Everything that is listed is whole and gives back what was backed up; nothing is left but that.
    private func checkAll(_ members: [Member], at folder: String) throws {
      let (first, second) = (members[0], members[1])
      for member in members {
        try member.host.succeed("target", "sync", "shared")
        let verified = try member.host.run("target", "verify", "shared", "--all", "-o", "json", "--timeout", "240s")
        #expect(verified.code == 0, "\(verified)")
        let backups = verified.json["backups"]?.array ?? []
        #expect(!backups.isEmpty && backups.allSatisfy { $0["state"] == "good" }, "\(verified)")
      }
      try first.host.succeed("target", "gc", "shared", "--timeout", "240s")
      let last = try second.host.run("target", "verify", "shared", "--all", "-o", "json", "--timeout", "240s")
      #expect(last.code == 0 && last.json["unreferencedBlocks"] == 0, "\(last)")
      let sums = first.images.merging(second.images) { $1 }
      for backup in last.json["backups"]?.array ?? [] {
        let name = try #require(backup["name"]?.string)
        let image = "back-\(name)"
        try second.host.succeed(
          "image", "create", image, "--from-backup", try #require(backup["url"]?.string), "--wait")
        #expect(try second.host.status("bi", image)["checksum"]?.string == sums[name], "\(name)")
      }
      let left = (FileManager.default.subpaths(atPath: folder) ?? []).filter {
        $0.hasSuffix(".lck") || $0.contains(".tmp.") || $0.hasSuffix(".bad")
      }
      #expect(left == [])
    }
  }
}
