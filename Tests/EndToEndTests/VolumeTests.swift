import DroverModel
import Foundation
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// Volumes over an image: written, snapshotted, backed up, and brought back where nothing of them is.
  @Suite struct VolumeTests {
    private let image: UInt64 = 8 << 20
    private let size: UInt64 = 16 << 20

    /// What a guest would write, while the volume is detached: into the file of its head.
    private func write(_ bytes: [UInt8], at offset: UInt64, to volume: String, on host: DroverHost) throws {
      let folder = "\(host.state)/volumes/\(volume)"
      let head = try #require(try Folder.list(folder).first { $0.hasPrefix("volume-head-") && $0.hasSuffix(".img") })
      let file = try OpenFile.open("\(folder)/\(head)", .readWrite)
      try bytes.withUnsafeBytes { try file.write($0, at: offset) }
      try file.sync()
    }

    private func exported(_ volume: String, as name: String, on host: DroverHost) throws -> [UInt8] {
      try host.succeed("image", "create", name, "--from-volume", volume, "--wait")
      let path = try #require(try host.status("backingimage", name)["path"]?.string)
      return try Folder.readFile(path, limit: 64 << 20)
    }

    private func place(_ bytes: [UInt8], at offset: Int, in disk: inout [UInt8]) {
      disk.replaceSubrange(offset..<(offset + bytes.count), with: bytes)
    }

    @Test(.timeLimit(.minutes(6))) func aVolumeComesBackWithItsImageOnAnEmptyHost() throws {
      let host = try DroverHost()
      let parrot = try TestImage.make(host.folder("parrot.img"), size: image)
      try host.succeed("image", "create", "parrot", "--from-file", parrot.path, "--wait")
      try host.succeed("volume", "create", "disk", "--size", "16M", "--image", "parrot", "--wait")
      #expect(try host.run("volume", "create", "small", "--size", "4M", "--image", "parrot", "--wait").code != 0)
      var noise = Noise(seed: 11)
      var disk = try Folder.readFile(parrot.path, limit: 64 << 20) + [UInt8](repeating: 0, count: Int(size - image))
      let (first, second) = (noise.bytes(64 << 10), noise.bytes(8 << 10))
      try write(first, at: 3 << 20, to: "disk", on: host)
      place(first, at: 3 << 20, in: &disk)
      // Zeros over what the image holds there, and something beyond its end.
      try write([UInt8](repeating: 0, count: 4096), at: 4096, to: "disk", on: host)
      place([UInt8](repeating: 0, count: 4096), at: 4096, in: &disk)
      try write(second, at: 12 << 20, to: "disk", on: host)
      place(second, at: 12 << 20, in: &disk)
      try host.succeed("snapshot", "create", "disk", "one", "--wait")
      let before = disk
      try host.succeed("backup", "create", "volume", "disk", "--snapshot", "one", "--wait")
      try write(first, at: 6 << 20, to: "disk", on: host)
      place(first, at: 6 << 20, in: &disk)
      try host.succeed("snapshot", "create", "disk", "two", "--wait")
      try host.succeed("backup", "create", "volume", "disk", "--snapshot", "two", "--wait")
      let backups = try host.run("get", "backup", "-o", "json").json["items"]?.array ?? []
      #expect(backups.count == 2 && backups.allSatisfy { $0["status"]?["state"] == "Completed" })
      let last = try #require(backups.first { $0["status"]?["snapshotName"] == "two" }?["status"])
      #expect(last["isIncremental"] == true && last["volumeBackingImageName"] == "parrot", "\(last)")
      #expect(try host.run("target", "verify", "--all").code == 0)
      #expect(try exported("disk", as: "as-it-is", on: host) == disk)
      let url = try #require(last["url"]?.string)

      // Nothing but the store is left.
      let other = try DroverHost()
      try other.succeed("restore", "volume", "back", "--from", url, "--wait")
      #expect(try other.status("backingimage", "parrot")["checksum"]?.string == parrot.sha512)
      #expect(try exported("back", as: "out", on: other) == disk)
      #expect(try other.run("delete", "backingimage", "parrot").code == 5)
      let restored = try other.run("snapshot", "list", "back", "-o", "json").json["items"]?.array ?? []
      #expect(restored.map { $0["spec"]?["snapshotName"]?.string ?? $0["metadata"]?["name"]?.string } == ["two"])
      try other.succeed("delete", "volume", "back", "--wait")
      try other.succeed("delete", "backingimage", "parrot", "--wait")
      #expect(try Folder.list("\(other.state)/volumes") == [])
      #expect(try other.stop() == .code(0))

      // And here the past is still there.
      try host.succeed("snapshot", "revert", "disk", "one", "--wait")
      #expect(try exported("disk", as: "as-it-was", on: host) == before)
      try host.succeed("snapshot", "delete", "disk", "two", "--wait")
      #expect(try exported("disk", as: "still", on: host) == before)
      #expect(try host.stop() == .code(0))
    }

    @Test(.timeLimit(.minutes(3))) func aDamagedBackupIsNotRestored() throws {
      let host = try DroverHost()
      try host.succeed("volume", "create", "disk", "--size", "4M", "--wait")
      var noise = Noise(seed: 5)
      try write(noise.bytes(4096), at: 0, to: "disk", on: host)
      try host.succeed("backup", "create", "volume", "disk", "--wait")
      let url = try #require(
        try host.run("get", "backup", "-o", "json").json["items"]?.array?.first?["status"]?["url"]?.string)
      let blocks = "\(host.store)/backupstore/volumes"
      let block = try #require(FileManager.default.subpaths(atPath: blocks)?.first { $0.hasSuffix(".blk") })
      try Folder.writeDurably("\(blocks)/\(block)", Array("garbage".utf8))
      let failed = try host.run("restore", "volume", "back", "--from", url, "--wait", "--timeout", "60s")
      #expect(failed.code == 7, "\(failed)")
      #expect(try Folder.list("\(host.state)/volumes") == ["disk"])
      #expect(try host.stop() == .code(0))
    }
  }
}
