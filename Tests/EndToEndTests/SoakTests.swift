import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// For `./dev test --soak`: kills at random moments, again and again, and looks whether everything ends well.
  @Suite(
    .enabled(if: ProcessInfo.processInfo.environment["DROVER_SOAK"] != nil, "takes long: ./dev test --soak runs it"))
  struct SoakTests {
    @Test(.timeLimit(.minutes(30))) func killsAtRandomMoments() throws {
      let host = try DroverHost()
      let image = try TestImage.make(host.folder("parrot.img"), size: 40 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.drip("/parrot.img", bytes: 4 << 20)
      let url = "file://\(host.store)?backingImage=parrot"
      let steps: [(String, String, String)] = [
        (
          "backingimage", "parrot",
          Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512)
        ), ("backingimage", "copy", Manifest.clone("copy", of: "parrot")),
        ("backupbackingimage", "parrot", Manifest.backup("parrot")),
        ("backingimage", "restored", Manifest.restore("restored", url: url, checksum: image.sha512)),
      ]
      var noise = Noise(seed: UInt64(WallClock.nanoseconds()))
      for round in 1...20 {
        for (kind, name, manifest) in steps {
          #expect(try host.apply(manifest, wait: false).code == 0)
          for _ in 0..<Int.random(in: 1...3, using: &noise) {
            usleep(UInt32.random(in: 0...900_000, using: &noise))
            if Bool.random(using: &noise) {
              #expect(try host.stop(signal: SIGKILL) == .signal(SIGKILL))
              try host.start()
            } else if let worker = try host.run("status", "-o", "json").json["workers"]?.array?.first?["pid"]?.int {
              kill(pid_t(worker), SIGKILL)
            }
          }
          let goal = kind == "backingimage" ? "ready" : "completed"
          let waited = try host.run("wait", "\(kind)/\(name)", "--for", goal, "--timeout", "300s")
          #expect(waited.code == 0, "round \(round): \(waited)")
        }
        for name in ["copy", "restored"] {
          let path = try #require(try host.status("backingimage", name)["path"]?.string)
          #expect(try TestImage.sha512(of: path) == image.sha512)
        }
        #expect(try host.imageFolders().allSatisfy { !$0.hasSuffix(".partial") })
        #expect(try Folder.listIfPresent("\(host.store)/backupstore/volumes/22/fc/BACKINGIMAGE/locks") ?? [] == [])
        for (kind, name, _) in steps.reversed() {
          let deleted = try host.run("delete", kind, name, "--wait", "--timeout", "300s")
          #expect(deleted.code == 0, "round \(round): \(deleted)")
        }
        #expect(try host.imageFolders() == [])
      }
    }
  }
}
