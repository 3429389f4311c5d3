import Backupstore
import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// Damage in a store is found, shown and mended; what nobody needs is removed, and what somebody needs is not.
  @Suite struct VerifyTests {
    private func host() throws -> DroverHost {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 9 << 20)
      try host.succeed("image", "create", "parrot", "--from-file", image.path, "--wait")
      try host.succeed("backup", "create", "image", "parrot", "--wait")
      return host
    }

    private func blocks(_ host: DroverHost, suffix: String = ".blk") -> [String] {
      let folder = "\(host.store)/backupstore/backing-images/blocks"
      let files = FileManager.default.subpaths(atPath: folder) ?? []
      return files.filter { $0.hasSuffix(suffix) }.sorted().map { "\(folder)/\($0)" }
    }

    @Test(.timeLimit(.minutes(6))) func damageIsFoundAndMended() throws {
      let host = try host()
      let good = try host.run("target", "verify", "--all", "-o", "json")
      #expect(good.code == 0, "\(good)")
      #expect(good.json["backups"]?.array?.first?["state"] == "good", "\(good)")
      #expect(good.json["readBlocks"] == good.json["blocks"], "\(good)")
      let verified = try host.status("bbi", "parrot")
      #expect(verified["lastVerified"]?.string?.hasSuffix("Z") == true, "\(verified)")

      let limited = try host.run("target", "verify", "--all", "--limit-rate", "1G", "-o", "json")
      #expect(limited.code == 0 && limited.json["readBlocks"] == good.json["blocks"], "\(limited)")
      let last = try host.run("job", "list", "-o", "json").json["items"]?.array?
        .first { $0["status"]?["type"] == "verify" }
      let params = last?["status"]?["pipeline"]?["from"]?.array?.first?["params"]
      #expect(params?["bytesPerSecond"]?.number == 1_073_741_824, "\(String(describing: last))")
      #expect(try host.run("target", "verify", "--limit-rate", "0").code == 2)

      let victim = try #require(blocks(host).first)
      try Folder.writeDurably(victim, Array("garbage".utf8))
      let structure = try host.run("target", "verify")
      #expect(structure.code == 0, "names alone are well: \(structure)")
      let bad = try host.run("target", "verify", "default", "--all")
      #expect(bad.code == 7, "\(bad)")
      #expect(bad.out.contains("parrot") && bad.out.contains("damaged"), "\(bad)")
      #expect(try FileStatus.of(victim) == nil)
      #expect(blocks(host, suffix: ".bad").count == 1)
      let status = try host.status("bbi", "parrot")
      #expect(status["state"] == "Error" && status["damagedBlocks"] != nil, "\(status)")
      #expect(status["lastVerified"] == nil, "\(status)")
      let restored = try host.run(
        "image", "create", "copy", "--from-backup", status["url"]?.string ?? "", "--wait", "--timeout", "60s")
      #expect(restored.code == 7, "\(restored)")
      let missing = try host.run("target", "verify")
      #expect(missing.code == 7 && missing.out.contains("missing"), "\(missing)")

      try host.succeed("backup", "create", "image", "parrot", "--wait", "--timeout", "60s")
      #expect(try host.status("bbi", "parrot")["state"] == "Completed")
      let mended = try host.run("target", "verify", "--all")
      #expect(mended.code == 0, "\(mended)")
      #expect(try host.status("bbi", "parrot")["lastVerified"] != nil)
      let events = try host.run("describe", "bt", "default")
      #expect(events.out.contains("1 damaged backups: parrot"), "\(events)")
    }

    /// A bad block that can't be moved aside keeps its backup in error, whatever is written again beside it.
    @Test(.timeLimit(.minutes(6))) func aBackupWithABadBlockInPlaceNeverShowsAsGood() throws {
      let host = try host()
      let victims = Array(blocks(host).prefix(2))
      for victim in victims { try Folder.writeDurably(victim, [1, 2, 3]) }
      let obstacle = "\(victims[1].dropLast(".blk".count)).bad"
      try Folder.create(obstacle)
      let found = try host.run("target", "verify", "--all", "-o", "json")
      #expect(found.code == 7 && found.err.contains("lie in place"), "\(found)")
      let finding = found.json["backups"]?.array?.first
      #expect(finding?["damagedBlocks"] == 2 && finding?["damagedInPlace"] == 1, "\(found)")
      #expect(found.json["asideBlocks"] == 1 && found.json["repairProblem"] != nil, "\(found)")

      // One of them is written again.
      let again = try host.run("backup", "create", "image", "parrot", "--wait", "--timeout", "60s")
      #expect(again.code != 0 && again.err.contains("1 bad blocks of it lie in place"), "\(again)")
      for command in [["target", "sync"], ["target", "verify"], ["target", "verify", "--sample", "1"]] {
        _ = try host.begin(command).end()
        let status = try host.status("bbi", "parrot")
        #expect(status["state"] == "Error" && status["damagedInPlace"] == 1, "\(command): \(status)")
        #expect(status["error"]?.string?.isEmpty == false && status["lastVerified"] == nil, "\(status)")
      }

      try Folder.removeTree(obstacle)
      #expect(try host.run("target", "verify", "--all").code == 7)
      #expect(try host.status("bbi", "parrot")["damagedInPlace"] == 0)
      try host.succeed("backup", "create", "image", "parrot", "--wait", "--timeout", "60s")
      #expect(try host.status("bbi", "parrot")["state"] == "Completed")
      #expect(try host.run("target", "verify", "--all").code == 0)
    }

    @Test(.timeLimit(.minutes(6))) func samplesCoverEverythingInTurn() throws {
      let host = try host()
      let victim = try #require(blocks(host).last)
      try Folder.writeDurably(victim, [])
      var codes: [Int32] = []
      for _ in 1...4 {
        codes.append(try host.run("target", "verify", "--sample", "25%", "--dry-run").code)
      }
      // What was found once stays missing or bad for the structure only where it was moved.
      #expect(codes.count { $0 == 7 } == 1 && codes.count { $0 == 0 } == 3, "\(codes)")
      let status = try host.status("bt", "default")
      #expect(status["verification"]?["lastCompletedAt"] != nil, "\(status)")
      #expect(try FileStatus.of(victim) != nil, "a dry run moves nothing")
      #expect(try host.run("target", "verify", "--sample", "0").code == 2)
      #expect(try host.run("target", "verify", "--sample", "5", "--all").code == 2)
      #expect(try host.run("target", "verify", "nowhere").code == 4)
    }

    @Test(.timeLimit(.minutes(6))) func whatNobodyNeedsIsCollected() throws {
      let host = try host()
      let before = blocks(host)
      let name = String(repeating: "ab", count: 32)
      let litter = "\(host.store)/backupstore/backing-images/blocks/ab/ab/\(name).blk"
      try Folder.create(Folder.parent(of: litter))
      try Folder.writeDurably(litter, [UInt8](repeating: 1, count: 1000))
      let dry = try host.run("target", "gc", "--dry-run", "-o", "json")
      #expect(dry.code == 0, "\(dry)")
      #expect(dry.json["removedBlocks"] == 1 && dry.json["removedBytes"] == 1000, "\(dry)")
      #expect(try FileStatus.of(litter) != nil)
      let done = try host.run("target", "gc")
      #expect(done.code == 0 && done.out.hasPrefix("1 of \(before.count + 1) blocks"), "\(done)")
      #expect(blocks(host) == before)

      // A config that is cut in half puts everything in doubt.
      let config = "\(host.store)/backupstore/backing-images/backing-images/parrot/backing-image.cfg"
      let whole = try Folder.readFile(config, limit: 1 << 20)
      try Folder.writeDurably(config, Array(whole.prefix(whole.count / 2)))
      try Folder.create(Folder.parent(of: litter))
      try Folder.writeDurably(litter, [1])
      let refused = try host.run("target", "gc")
      #expect(refused.code == 5 && refused.err.contains("parrot"), "\(refused)")
      #expect(try FileStatus.of(litter) != nil)
      let unreadable = try host.run("target", "verify")
      #expect(unreadable.code == 7 && unreadable.out.contains("unreadable"), "\(unreadable)")
      try Folder.writeDurably(config, whole)
      #expect(try host.run("target", "gc").code == 0)

      // Without any image listed, nothing is believed.
      try Folder.rename("\(host.store)/backupstore/backing-images/backing-images", host.folder("away"))
      let empty = try host.run("target", "gc")
      #expect(empty.code == 5 && empty.err.contains("no image is listed"), "\(empty)")
      #expect(blocks(host) == before)
    }

    @Test(.timeLimit(.minutes(6))) func whatIsPinnedOrNeededStays() throws {
      let host = try host()
      #expect(try host.run("backup", "pin", "parrot").out == "backupbackingimage/parrot pinned\n")
      for force in [[], ["--force"]] {
        let refused = try host.begin(["backup", "delete", "parrot", "--wait"] + force).end()
        #expect(refused.code == 5 && refused.err.contains("pinned"), "\(refused)")
      }
      #expect(try host.run("backup", "unpin", "parrot").code == 0)
      #expect(try host.run("backup", "pin", "nobody").code == 4)

      // A volume's backup that holds only what differs from the image.
      let volume = "\(host.store)/backupstore/volumes/b2/15/macaw-vol"
      try Folder.create("\(volume)/backups")
      try Folder.writeDurably(
        "\(volume)/volume.cfg", Array(#"{"Name":"macaw-vol","Size":"2097152","BackingImageName":"\"parrot\""}"#.utf8))
      try Folder.writeDurably(
        "\(volume)/backups/backup_backup-1.cfg",
        Array(#"{"Name":"backup-1","VolumeName":"macaw-vol","CreatedTime":"2026-01-02T03:04:05Z"}"#.utf8))
      let needed = try host.run("backup", "delete", "parrot")
      #expect(needed.code == 5 && needed.err.contains("macaw-vol"), "\(needed)")
      #expect(try host.status("bbi", "parrot")["state"] == "Completed")
      let listed = try host.run("target", "verify")
      #expect(listed.code == 0 && listed.out.contains("macaw-vol/backup-1"), "\(listed)")
      // Without its volume it can't be restored.
      try Folder.rename("\(volume)/volume.cfg", "\(volume)/away")
      let refused = try host.run("target", "verify")
      #expect(refused.code == 7 && refused.out.contains("unrestorable"), "\(refused)")
      #expect(refused.out.contains("cannot find volume macaw-vol"), "\(refused)")
      try Folder.rename("\(volume)/away", "\(volume)/volume.cfg")
      let forced = try host.run("backup", "delete", "parrot", "--force", "--wait", "--timeout", "60s")
      #expect(forced.code == 0, "\(forced)")
      #expect(blocks(host) == [])
      #expect(try host.run("get", "bbi", "parrot").code == 4)
    }
  }
}
