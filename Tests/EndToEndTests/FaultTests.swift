import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// What the machine does to a daemon: disks that are full, read-only or gone, limits, workers that stand still, another
  /// daemon on the same store.
  @Suite struct FaultTests {
    private static let brisk = "jobs: {attempts: 20, backoffMax: 1s}\nreserve: 0\nstallTimeout: 3s\n"

    // MARK: Disks. These need a file system of their own.

    /// Nil, and the reason is printed, where nothing can be mounted.
    private func mounted(_ path: String, megabytes: Int) throws -> MountedMemory? {
      do { return try MountedMemory(path, megabytes: megabytes) } catch {
        print("skipped: \(error)")
        return nil
      }
    }

    @Test(.timeLimit(.minutes(3))) func aFullDiskBeforeAndDuringACopy() throws {
      let host = try DroverHost(configuration: Self.brisk, start: false)
      guard let disk = try mounted(host.state, megabytes: 48) else { return }
      defer { withExtendedLifetime(disk) {} }
      defer { _ = try? host.stop() }
      try host.start()
      let image = try TestImage.make(host.folder("parrot.img"), size: 80 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      // Before: its size is known, so it is never begun.
      let refused = try host.apply(Manifest.download("known", url: web.url("/parrot.img")), timeout: "30s")
      #expect(refused.code != 0, "\(refused)")
      #expect(try host.jobs(of: "known").first?["status"]?["error"]?["code"] == "no-space")
      // During: a stream does not say how long it is.
      let server = try TestHTTPServer()
      let bytes = try Folder.readFile(image.path, limit: 1 << 30)
      server.serve("/parrot.img") { _ in
        var answer = ScriptedAnswer(200, [], body: bytes)
        answer.framing = .chunked
        return answer
      }
      let filled = try host.apply(Manifest.download("growing", url: server.url("/parrot.img")), timeout: "60s")
      #expect(filled.code != 0, "\(filled)")
      try host.until("the job that met the full disk is over", within: 30) {
        try host.jobs(of: "growing").first?["status"]?["state"] == "failed"
      }
      let error = try host.jobs(of: "growing").first?["status"]?["error"]
      #expect(error?["code"] == "no-space" && error?["retry"] == "never", "\(String(describing: error))")
      #expect(try host.imageFolders() == [], "what was written of it is gone")
      // And there is room again for what fits.
      let small = try TestImage.make(host.folder("small.img"), size: 16 << 20)
      let made = try host.run("image", "create", "small", "--from-file", small.path, "--checksum", small.sha512)
      #expect(made.code == 0, "\(made)")
    }

    @Test(.timeLimit(.minutes(3))) func aFullDiskUnderTheCatalog() throws {
      let host = try DroverHost(configuration: Self.brisk, start: false)
      guard let disk = try mounted(host.state, megabytes: 48) else { return }
      defer { withExtendedLifetime(disk) {} }
      defer { _ = try? host.stop() }
      try host.start()
      let image = try TestImage.make(host.folder("parrot.img"), size: 8 << 20)
      let web = try Web()
      try web.serve("/parrot.img", file: image.path)
      web.stall("/parrot.img", after: 4 << 20)
      #expect(
        try host.apply(Manifest.download("parrot", url: web.url("/parrot.img"), checksum: image.sha512), wait: false)
          .code == 0)
      try host.until("some of it is there", within: 30) {
        try host.jobs(of: "parrot").first?["status"]?["bytesDone"]?.int ?? 0 > 0
      }
      try disk.fill("\(host.state)/ballast")
      // What can't be written down is not promised.
      var refused: DroverHost.Output?
      try host.until("a write to the catalog is refused", within: 60) {
        let output = try host.apply(Manifest.clone("copy-\(Int(BootClock.seconds() * 1e3))", of: "parrot"), wait: false)
        if output.code != 0 { refused = output }
        return refused != nil
      }
      #expect(refused?.err.contains("could not write to the catalog") == true, "\(String(describing: refused))")
      #expect(try host.run("status").code == 0, "the daemon stays up")
      let there = Set(
        try host.run("get", "backingimage", "-o", "json").json["items"]?.array?.compactMap {
          $0["metadata"]?["name"]?.string
        } ?? [])
      try Folder.remove(file: "\(host.state)/ballast")
      web.release()
      try host.until("the download ends by itself", within: 90) {
        try host.status("backingimage", "parrot")["state"] == "ready"
      }
      for name in there { try host.until("\(name) ends", within: 60) { try Self.isOver(host, name) } }
      #expect(
        try TestImage.sha512(of: #require(try host.status("backingimage", "parrot")["path"]?.string)) == image.sha512)
      // What was promised is still there after a start.
      #expect(try host.stop(signal: SIGKILL) == .signal(SIGKILL))
      try host.start()
      let after = try host.run("get", "backingimage", "-o", "json").json["items"]?.array ?? []
      #expect(Set(after.compactMap { $0["metadata"]?["name"]?.string }) == there)
    }

    private static func isOver(_ host: DroverHost, _ name: String) throws -> Bool {
      ["ready", "failed"].contains(try host.status("backingimage", name)["state"]?.string ?? "")
    }

    @Test(.timeLimit(.minutes(3))) func aStoreThatIsRemountedReadOnly() throws {
      let host = try DroverHost(configuration: Self.brisk)
      let store = host.folder("elsewhere")
      guard let disk = try mounted(store, megabytes: 64) else { return }
      defer { withExtendedLifetime(disk) {} }
      defer { _ = try? host.stop() }
      let image = try TestImage.make(host.folder("parrot.img"), size: 8 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path, "--wait").code == 0)
      #expect(try host.apply(Self.target("elsewhere", store)).code == 0)
      try disk.remount(readOnly: true)
      #expect(try host.apply(Manifest.backup("b1", of: "parrot", target: "elsewhere"), wait: false).code == 0)
      try host.until("the job waits for somebody", within: 60) {
        try host.jobs(of: "b1").first?["status"]?["error"]?["retry"] == "after-fix"
      }
      try disk.remount(readOnly: false)
      #expect(try host.apply(Self.target("elsewhere", store)).code == 0)
      let done = try host.run("wait", "backupbackingimage/b1", "--for", "completed", "--timeout", "60s")
      #expect(done.code == 0, "\(done)")
      try HouseCheck.checkStore(store, backups: ["parrot": image.sha512])
    }

    private static func target(_ name: String, _ path: String) -> String {
      """
      apiVersion: longhorn.io/v1beta2
      kind: BackupTarget
      metadata: {name: \(name)}
      spec: {backupTargetURL: "file://\(path)", pollInterval: "1s"}
      """
    }

    // MARK: Limits

    /// Clients that would take all of a daemon's descriptors wait outside, and it goes on with its own.
    @Test(.timeLimit(.minutes(3))) func fewDescriptorsAreEnough() throws {
      let host = try DroverHost(configuration: Self.brisk, start: false)
      host.limits = "ulimit -n 48"
      try host.start()
      let images = try StampedImages()
      let manifests = (0..<6).map { Manifest.download("d\($0)", url: images.url($0), checksum: images.checksum($0)) }
      let daemon = try #require(host.daemon?.pid)
      let before = try Folder.list("/proc/\(daemon)/fd").count
      var clients = try (0..<60).map { _ in try host.begin(["events", "--follow"]) }
      defer { for client in clients { client.process.kill(SIGKILL) } }
      try host.until("a few are served", within: 60) { try Folder.list("/proc/\(daemon)/fd").count >= before + 3 }
      // Nobody who asks gets in meanwhile.
      let waiting = try host.begin(["status"])
      #expect(try Folder.list("/proc/\(daemon)/fd").count < 46)
      #expect(host.daemonRuns)
      for client in clients + [waiting] { client.process.kill(SIGKILL) }
      for client in clients + [waiting] { _ = try client.process.wait() }
      clients = []
      try host.until("the daemon answers again", within: 60) { try host.run("status").code == 0 }
      let applied = try host.apply(manifests.joined(separator: "\n---\n"), timeout: "90s")
      #expect(applied.code == 0, "\(applied)\n\(host.daemonLog.suffix(2000))")
      #expect(try host.stop() == .code(0))
    }

    // MARK: Standing still, and others on the same store

    /// Plans that the next backup's worker stops while it brings the image's blocks, at the step at which a backup to
    /// another store did: in the middle of their files, or before it makes the first folder for them.
    private func stopAmongBlocks(of image: String, on host: DroverHost, beforeFolders: Bool = false) throws {
      let effects = try #require(host.effects)
      let store = host.folder("tried")
      try Folder.create(store)
      #expect(try host.apply(Self.target("tried", store)).code == 0)
      #expect(try host.apply(Manifest.backup("tried", of: image, target: "tried")).code == 0)
      let steps = try effects.trace().filter {
        guard $0.role == "worker" && $0.path.contains("/tried/") else { return false }
        return beforeFolders ? $0.call == "mkdir" && $0.path.contains("/blocks/") : $0.path.contains(".blk")
      }
      let first = try #require(steps.map(\.number).min())
      let last = try #require(steps.map(\.number).max())
      try effects.plan([
        Effects.Fault(
          id: 1, role: .worker, step: beforeFolders ? first : (first + last) / 2, how: "stop",
          pattern: #""stage":"backup""#)
      ])
    }

    /// A worker that was stopped for longer than its lease finds that another daemon has taken its name over, and neither
    /// writes over that backup nor removes anything of it.
    @Test(.enabled(if: Effects.library != nil), .timeLimit(.minutes(4))) func aWorkerThatStoodStillTooLong() throws {
      let mine = try DroverHost(configuration: Self.brisk, faulty: true, speed: 40, start: false)
      let others = try DroverHost(configuration: Self.brisk, faulty: true, speed: 40)
      let store = mine.folder("shared")
      try Folder.create(store)
      try mine.start()
      let first = try TestImage.make(mine.folder("1.img"), size: 6 << 20, seed: 1)
      let second = try TestImage.make(others.folder("2.img"), size: 6 << 20, seed: 2)
      for (host, image) in [(mine, first), (others, second)] {
        let created = try host.run("image", "create", "parrot", "--from-file", image.path, "--wait")
        #expect(created.code == 0, "\(created)")
        #expect(try host.apply(Self.target("shared", store)).code == 0)
      }
      try stopAmongBlocks(of: "parrot", on: mine)
      #expect(try mine.apply(Manifest.backup("b1", of: "parrot", target: "shared"), wait: false).code == 0)
      try mine.until("its worker stands still", within: 60) { try mine.effects?.fired == [1] }
      let worker = try #require(try mine.run("status", "-o", "json").json["workers"]?.array?.first?["pid"]?.int)
      let taken = try others.apply(Manifest.backup("b1", of: "parrot", target: "shared"), timeout: "90s")
      #expect(taken.code == 0, "\(taken)")
      try HouseCheck.checkStoreContent(store, backups: ["parrot": second.sha512])
      kill(pid_t(worker), SIGCONT)
      try mine.until("the job has ended", within: 90) {
        try mine.jobs(of: "b1").first?["status"]?["state"] == "failed"
      }
      #expect(try mine.jobs(of: "b1").first?["status"]?["error"]?["code"] == "content-conflict")
      try HouseCheck.checkStore(store, backups: ["parrot": second.sha512])
    }

    /// A worker that is stopped can't watch over itself: the daemon sees that it says nothing.
    @Test(.enabled(if: Effects.library != nil), .timeLimit(.minutes(4))) func aWorkerThatNeverGoesOn() throws {
      let host = try DroverHost(configuration: Self.brisk + "hangTimeout: 2s\n", faulty: true, speed: 1, start: false)
      try host.effects?.plan([
        Effects.Fault(id: 1, role: .worker, step: 3, how: "stop", pattern: KillRound.pattern(.clone, 0))
      ])
      try host.start()
      let image = try TestImage.make(host.folder("parrot.img"), size: 6 << 20)
      #expect(try host.run("image", "create", "d0", "--from-file", image.path, "--wait").code == 0)
      let applied = try host.apply(Manifest.clone("c0", of: "d0"), timeout: "90s")
      #expect(applied.code == 0, "\(applied)\n\(host.daemonLog)")
      #expect(try host.effects?.fired == [1])
      let job = try #require(try host.jobs(of: "c0").first?["metadata"]?["name"]?.string)
      let log = try host.run("job", "logs", job).out
      #expect(log.contains("the worker said nothing for "), "\(log)")
      #expect(try host.status("backingimage", "c0")["checksum"]?.string == image.sha512)
    }

    /// Two daemons back up the same and other images to one store, and delete, at the same time.
    @Test(.enabled(if: Effects.library != nil), .timeLimit(.minutes(4))) func twoDaemonsOnOneStore() throws {
      let images = try StampedImages()
      let hosts = try (0..<2).map { _ in try DroverHost(configuration: Self.brisk, faulty: true) }
      let store = hosts[0].folder("shared")
      try Folder.create(store)
      for (index, host) in hosts.enumerated() {
        #expect(try host.apply(Self.target("shared", store)).code == 0)
        let own = "own\(index)"
        let manifests = [("same", 0), (own, 1 + index), ("gone\(index)", 3 + index)].map { name, number in
          Manifest.download(name, url: images.url(number), checksum: images.checksum(number))
        }
        #expect(try host.apply(manifests.joined(separator: "\n---\n")).code == 0)
        #expect(try host.apply(Manifest.backup("gone\(index)", of: "gone\(index)", target: "shared")).code == 0)
      }
      let runs = try hosts.enumerated().flatMap { index, host in
        let backups = ["same", "own\(index)"].map { Manifest.backup($0, of: $0, target: "shared") }
        return [
          try host.begin(["delete", "backupbackingimage", "gone\(index)", "--wait", "--timeout", "120s"]),
          try host.begin(
            ["apply", "-f", "-", "--wait", "--timeout", "120s"], input: backups.joined(separator: "\n---\n")),
        ]
      }
      for output in try runs.map({ try $0.end() }) { #expect(output.code == 0, "\(output)") }
      let left = ["same": 0, "own0": 1, "own1": 2].mapValues { images.checksum($0) }
      try HouseCheck.checkStore(store, backups: left)
      for (index, host) in hosts.enumerated() {
        let deleted = try host.run("delete", "backupbackingimage", "own\(index)", "--wait", "--timeout", "60s")
        #expect(deleted.code == 0, "\(deleted)")
      }
      try HouseCheck.checkStore(store, backups: ["same": images.checksum(0)])
    }

    /// The store's folder goes away in the middle of a backup, and comes back.
    @Test(.enabled(if: Effects.library != nil), .timeLimit(.minutes(4))) func aStoreThatVanishesDuringABackup() throws {
      let host = try DroverHost(configuration: Self.brisk, faulty: true, start: false)
      let store = host.folder("elsewhere")
      try Folder.create(store)
      try host.start()
      let image = try TestImage.make(host.folder("parrot.img"), size: 8 << 20)
      #expect(try host.run("image", "create", "parrot", "--from-file", image.path, "--wait").code == 0)
      #expect(try host.apply(Self.target("elsewhere", store)).code == 0)
      try stopAmongBlocks(of: "parrot", on: host, beforeFolders: true)
      #expect(try host.apply(Manifest.backup("b1", of: "parrot", target: "elsewhere"), wait: false).code == 0)
      try host.until("its worker stands still", within: 60) { try host.effects?.fired == [1] }
      let worker = try #require(try host.run("status", "-o", "json").json["workers"]?.array?.first?["pid"]?.int)
      try Folder.rename(store, host.folder("away"))
      kill(pid_t(worker), SIGCONT)
      try host.until("the job waits for somebody", within: 60) {
        try host.jobs(of: "b1").first?["status"]?["error"]?["code"] == "target-unreachable"
      }
      #expect(try FileStatus.of(store) == nil, "nobody makes a store where one has vanished")
      try Folder.rename(host.folder("away"), store)
      #expect(try host.apply(Self.target("elsewhere", store)).code == 0)
      try host.until("the job has gone on", within: 90) {
        try host.status("backupbackingimage", "b1")["state"] == "Completed"
      }
      try HouseCheck.checkStore(store, backups: ["parrot": image.sha512])
    }
  }
}
