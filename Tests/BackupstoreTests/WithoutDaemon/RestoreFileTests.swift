import Foundation
import Glibc
import LinuxSystem
import OpenSSL
import TestKit
import Testing

@testable import Backupstore

/// `drover restore file`, on a machine without a daemon.
@Suite(.enabled(if: !DroverProgram.isMissing, "this build has no programs"))
struct RestoreFileTests {
  let folder = TemporaryFolder("restore-file")
  let store = TemporaryFolder("store")
  let drover: DroverProgram

  init() { drover = DroverProgram(folder: folder) }

  private func checksum(_ path: String) throws -> String {
    try Folder.readFile(path, limit: 64 << 20).withUnsafeBytes { hexadecimal(SHA512.hash($0)) }
  }

  private var target: String { "file://\(store.path)" }

  /// Every restore of the fixtures, from each store; two at once, since each waits for its lock to settle.
  @Test(arguments: ["lz4", "gzip", "none"]) func theFixtures(_ method: String) throws {
    _ = try fixtureStore(method, in: store)
    let restores = [
      ("?backingImage=parrot", FixtureTests.parrotChecksum),
      ("?backup=backup-full1&volume=macaw-vol", VolumeStageTests.snapshots["backup-full1"]!),
      ("?backup=backup-delta2&volume=macaw-vol", VolumeStageTests.snapshots["backup-delta2"]!),
    ]
    let running = try restores.enumerated().map { index, restore in
      try drover.start(["restore", "file", folder("out\(index)"), "--from", "vfs://\(store.path)\(restore.0)"])
    }
    for (index, restore) in restores.enumerated() {
      let output = running[index].finish()
      #expect(output.status == 0, "\(output.error)")
      #expect(try checksum(folder("out\(index)")) == restore.1)
      #expect(output.out.isEmpty)
    }
    #expect(running[0].error.contains(FixtureTests.parrotChecksum))
    // Holes stay holes.
    let status = try #require(try FileStatus.of(folder("out0")))
    #expect(status.size == 9_438_720 && status.allocatedBytes < status.size)
    #expect(status.permissions == 0o600)
    #expect(try drover.leftovers() == [])
    #expect(FileManager.default.subpaths(atPath: store.path)?.contains { $0.hasSuffix(".lck") } == false)
  }

  @Test func whatIsThereStaysUnlessItIsToBeReplaced() throws {
    _ = try fixtureStore("lz4", in: store)
    let out = folder("out")
    try Folder.writeDurably(out, [1, 2, 3])
    let url = "\(target)?backingImage=parrot"
    let refused = try drover.run("restore", "file", out, "--from", url)
    #expect(refused.status == 5 && refused.error.contains("--force"), "\(refused.error)")
    #expect(try Folder.readFile(out, limit: 10) == [1, 2, 3])
    #expect(try drover.run("restore", "file", folder.path, "--from", url).status == 5)
    #expect(try drover.run("restore", "file", out, "--from", url, "--force").status == 0)
    #expect(try checksum(out) == FixtureTests.parrotChecksum)
    #expect(try drover.run("restore", "file", folder("none/out"), "--from", url).status == 4)
  }

  @Test func toAStream() throws {
    _ = try fixtureStore("lz4", in: store)
    let output = try drover.run("restore", "file", "-", "--from", "\(target)?backingImage=parrot")
    #expect(output.status == 0, "\(output.error)")
    #expect(Array(output.out).withUnsafeBytes { hexadecimal(SHA512.hash($0)) } == FixtureTests.parrotChecksum)
  }

  @Test func exitCodes() throws {
    let bench = try fixtureStore("lz4", in: store)
    var config = try #require(try bench.store.imageConfig("parrot"))
    config.completeTime = ""
    try bench.store.write(StoreLayout.imageConfig("half-parrot"), document: config.encoded())
    config.completeTime = "2026-01-05T10:00:09Z"
    config.checksum = String(repeating: "0", count: 128)
    try bench.store.write(StoreLayout.imageConfig("other-parrot"), document: config.encoded())
    try bench.store.write(StoreLayout.imageConfig("cut-parrot"), document: Array(config.encoded().dropLast(100)))
    let cases: [(url: String, status: Int32)] = [
      ("\(target)?backingImage=none-such", 4), ("\(target)?backup=none-such&volume=macaw-vol", 4),
      ("\(target)?backup=backup-full1&volume=none-such", 4), ("\(target)?backingImage=half-parrot", 5),
      ("\(target)?backingImage=other-parrot", 7), ("\(target)?backingImage=cut-parrot", 1),
      ("file://\(store.path)/none?backingImage=parrot", 10), ("\(target)?backingImage=..", 2), (target, 2),
      ("ftp://x/y?backingImage=parrot", 1),
    ]
    let running = try cases.map { try drover.start(["restore", "file", folder("out"), "--from", $0.url]) }
    for (one, program) in zip(cases, running) {
      let output = program.finish()
      #expect(output.status == one.status, "\(one.url): \(output.error)")
      #expect(output.error.contains("error: "))
    }
    #expect(!FileManager.default.fileExists(atPath: folder("out")))
    #expect(try drover.leftovers() == [])
  }

  @Test func aLostBlockLeavesNothingOrSaysWhereItIs() throws {
    let bench = try fixtureStore("lz4", in: store)
    let image = try #require(try bench.store.imageConfig("parrot"))
    let block = image.blocks[2]
    try Folder.writeDurably(store(StoreLayout.imageBlock(block.name)), Array("garbage".utf8))
    let url = "\(target)?backingImage=parrot"
    let failed = try drover.run("restore", "file", folder("out"), "--from", url)
    #expect(failed.status == 7 && failed.error.contains("\(block.name)") && failed.error.contains("--salvage"))
    #expect(!FileManager.default.fileExists(atPath: folder("out")))
    #expect(try drover.leftovers() == [])

    let salvaged = try drover.run("restore", "file", folder("out"), "--from", url, "--salvage")
    #expect(salvaged.status == 3, "\(salvaged.error)")
    var expected = SourceImage.parrot.bytes
    expected.replaceSubrange(Int(block.offset)..<(8 << 20), with: [UInt8](repeating: 0, count: 2 << 20))
    let isSame = same(try Folder.readFile(folder("out"), limit: 64 << 20), expected)
    #expect(isSame)
    struct Map: Decodable, Equatable {
      struct Entry: Decodable, Equatable {
        var offset, length: Int
        var block, reason: String
      }
      var size, lostBytes: Int
      var lost: [Entry]
    }
    let map = try JSONDecoder().decode(Map.self, from: Data(contentsOf: URL(filePath: folder("out.damage.json"))))
    #expect(
      map
        == Map(
          size: 9_438_720, lostBytes: 2 << 20,
          lost: [.init(offset: 6 << 20, length: 2 << 20, block: "\(block.name)", reason: "bad")]))

    // With nothing lost there is no map, and none of an earlier file stays.
    let volume = "\(target)?backup=backup-full1&volume=macaw-vol"
    let whole = try drover.run("restore", "file", folder("out"), "--from", volume, "--salvage", "--force")
    #expect(whole.status == 0, "\(whole.error)")
    #expect(!FileManager.default.fileExists(atPath: folder("out.damage.json")))
  }

  /// While it waits for a lock that another holds, so that the moment is certain.
  @Test(arguments: [SIGINT, SIGTERM]) func aSignalLeavesNothing(_ number: Int32) async throws {
    let bench = try fixtureStore("lz4", in: store)
    let lock = try StoreLock.acquire(.deletion, bench.session)
    defer { lock.release() }
    let running = try drover.start(
      ["restore", "file", folder("out"), "--from", "\(target)?backingImage=parrot", "--json-progress"])
    try await eventually("it waits", within: 60) { running.error.contains("waiting for lock") }
    running.signal(number)
    let output = running.finish()
    #expect(output.status == 128 + number, "\(output.error)")
    #expect(!FileManager.default.fileExists(atPath: folder("out")))
    #expect(try drover.leftovers() == [])
    let locks = try Folder.list(store(StoreLayout.imageLocks))
    #expect(locks.count == 1, "only the other's lock is left: \(locks)")
  }

  /// Another worker goes on where one died, and takes its lock away; to a pipe nothing is given twice.
  @Test(arguments: [false, true]) func aWorkerThatDiesIsFollowedByAnother(_ streams: Bool) async throws {
    let bench = try fixtureStore("lz4", in: store)
    let lock = try StoreLock.acquire(.deletion, bench.session)
    defer { lock.release() }
    let running = try drover.start(
      [
        "restore", "file", streams ? "-" : folder("out"), "--from", "\(target)?backingImage=parrot", "--json-progress",
      ])
    try await eventually("it waits", within: 60) { running.error.contains("waiting for lock") }
    kill(try #require(try worker(of: running.process.processIdentifier)), SIGKILL)
    if !streams {
      try await eventually("it tells of the death", within: 60) { running.error.contains("next attempt in") }
      lock.release()
    }
    let output = running.finish()
    #expect(output.status == (streams ? 1 : 0), "\(output.error)")
    if streams {
      #expect(output.out.isEmpty)
    } else {
      #expect(try checksum(folder("out")) == FixtureTests.parrotChecksum)
    }
    #expect(try drover.leftovers() == [])
    lock.release()
    #expect(FileManager.default.subpaths(atPath: store.path)?.contains { $0.hasSuffix(".lck") } == false)
  }

  /// The worker of the program; what starts it may stand in between.
  private func worker(of program: pid_t) throws -> pid_t? {
    var parents: [pid_t: pid_t] = [:]
    var workers: [pid_t] = []
    for name in try Folder.list("/proc") {
      guard let pid = pid_t(name), let stat = try? String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8),
        let end = stat.lastIndex(of: ")")
      else { continue }
      parents[pid] = stat[end...].split(separator: " ").dropFirst(2).first.flatMap { pid_t($0) }
      if stat.contains("(drover-worker") { workers.append(pid) }
    }
    return workers.first { parents[$0] == program || parents[$0].flatMap { parents[$0] } == program }
  }

  /// An image that Drover didn't encrypt, so that what must come out is known.
  @Test func decryptsOnTheWay() throws {
    let bench = try Workbench.folder(store)
    var plain = SourceImage.parrot.bytes
    plain.removeLast(1536)
    try Folder.writeDurably(folder("plain"), plain)
    try Cryptsetup.image(folder("luks"), of: plain, Array("a pass phrase".utf8))
    let bytes = try Folder.readFile(folder("luks"), limit: 64 << 20)
    let blocks = stride(from: 0, to: UInt64(bytes.count), by: SourceImage.block).map { $0 }
    try bench.backUp(SourceImage(bytes: bytes, blocks: blocks), as: "secret-parrot")
    let url = "\(target)?backingImage=secret-parrot"
    func restore(_ passphrase: String) throws -> DroverProgram.Output {
      try drover.run(
        "restore", "file", folder("out"), "--from", url, "--decrypt", "--passphrase-fd", "0", input: passphrase)
    }
    let wrong = try restore("another")
    #expect(wrong.status == 8 && !wrong.error.contains("another"), "\(wrong.error)")
    #expect(try restore("").status == 8)
    #expect(!FileManager.default.fileExists(atPath: folder("out")))
    let right = try restore("a pass phrase")
    #expect(right.status == 0, "\(right.error)")
    let isSame = same(Array(try Folder.readFile(folder("out"), limit: 64 << 20).prefix(plain.count)), plain)
    #expect(isSame)
    #expect(try drover.run("restore", "file", folder("x"), "--from", url, "--passphrase-fd", "0").status == 2)
    #expect(try drover.leftovers() == [])
  }
}

/// The same from a bucket and from an export.
@Suite(.enabled(if: !DroverProgram.isMissing && RcloneS3.isMissing == nil, "there is no program, or no rclone"))
struct RestoreFromServersTests {
  let folder = TemporaryFolder("restore-file")
  let drover: DroverProgram

  init() { drover = DroverProgram(folder: folder) }

  private static let query = "?backup=backup-delta2&volume=macaw-vol"

  private func isRight(_ path: String) throws -> Bool {
    try Folder.readFile(path, limit: 64 << 20).withUnsafeBytes { hexadecimal(SHA512.hash($0)) }
      == VolumeStageTests.snapshots["backup-delta2"]
  }

  @Test func fromABucket() throws {
    let server = try #require(RcloneS3.shared)
    let bucket = try server.makeBucket()
    let copy = TemporaryFolder("store")
    _ = try fixtureStore("lz4", in: copy)
    try FileManager.default.moveItem(atPath: copy("backupstore"), toPath: server.root("\(bucket)/backupstore"))
    let url = "s3://\(bucket)@us-east-1/\(Self.query)"
    let keys = """
      # of the test's server
      export AWS_ACCESS_KEY_ID = \(RcloneS3.accessKey)
      AWS_SECRET_ACCESS_KEY="\(RcloneS3.secretKey)"

      AWS_ENDPOINTS=http://127.0.0.1:\(server.port)
      """
    try Folder.writeDurably(folder("keys"), Array(keys.utf8))
    let environment = [
      "AWS_ACCESS_KEY_ID": RcloneS3.accessKey, "AWS_SECRET_ACCESS_KEY": RcloneS3.secretKey,
      "AWS_ENDPOINT_URL": "http://127.0.0.1:\(server.port)",
    ]
    let byFile = try drover.start(["restore", "file", folder("a"), "--from", url, "--credentials", folder("keys")])
    let byVariables = try drover.start(["restore", "file", folder("b"), "--from", url], environment: environment)
    for (running, name) in [(byFile, "a"), (byVariables, "b")] {
      let output = running.finish()
      #expect(output.status == 0, "\(output.error)")
      #expect(try isRight(folder(name)))
      #expect(!output.error.contains(RcloneS3.secretKey))
    }
    func status(_ changes: [String: String]) throws -> DroverProgram.Output {
      try drover.run(
        "restore", "file", folder("c"), "--from", url, environment: environment.merging(changes) { $1 })
    }
    let refused = try status(["AWS_SECRET_ACCESS_KEY": "another"])
    #expect(refused.status == 14 && refused.error.contains("--credentials"), "\(refused.error)")
    #expect(try drover.run("restore", "file", folder("c"), "--from", url).status == 14)
    let nobody = try status(["AWS_ENDPOINT_URL": "http://127.0.0.1:\(ServerProcess.freePort())"])
    #expect(nobody.status == 10, "\(nobody.error)")
    for bad in ["AWS_ACCES_KEY_ID=x", "no equals", "A B=c", "AWS_CERT=\"open"] {
      try Folder.writeDurably(folder("bad"), Array(bad.utf8))
      let output = try drover.run("restore", "file", folder("c"), "--from", url, "--credentials", folder("bad"))
      #expect(output.status == 2 && output.error.contains("line 1"), "\(output.error)")
    }
    #expect(!FileManager.default.fileExists(atPath: folder("c")))
  }

  /// The server dies under the restore, and the restore is told at once; when the server is back it goes on.
  @Test func aServerThatGoesAndComesBack() async throws {
    let server = try RcloneS3(buckets: ["golden"])
    let copy = TemporaryFolder("store")
    _ = try fixtureStore("lz4", in: copy)
    try FileManager.default.moveItem(atPath: copy("backupstore"), toPath: server.root("golden/backupstore"))
    let store = try openStore(StoreURL("s3://golden@us-east-1/"), credentials: server.credentials())
    // While it waits for a lock that another holds, so that the moment is certain.
    let other = try StoreLock.acquire(
      .deletion, StoreSession(store: store, observer: RecordingObserver(), domain: .volume("macaw-vol"), timing: .brisk)
    )
    let environment = [
      "AWS_ACCESS_KEY_ID": RcloneS3.accessKey, "AWS_SECRET_ACCESS_KEY": RcloneS3.secretKey,
      "AWS_ENDPOINT_URL": server.endpoint,
    ]
    let running = try drover.start(
      ["restore", "file", folder("out"), "--from", "s3://golden@us-east-1/\(Self.query)", "--json-progress"],
      environment: environment)
    try await eventually("it waits", within: 60) { running.error.contains("waiting for lock") }
    server.stop()
    try await eventually("it tells of the loss", within: 120) { running.error.contains("next attempt in") }
    #expect(!running.error.contains(RcloneS3.secretKey))
    let second = try RcloneS3(port: server.port, root: server.root)
    other.release()
    let output = running.finish()
    #expect(output.status == 0, "\(output.error)")
    #expect(try isRight(folder("out")))
    #expect(try drover.leftovers() == [])
    withExtendedLifetime(second) {}
  }

  @Test(.enabled(if: RcloneNFS.isMissing == nil, "rclone is not here")) func fromAnExport() throws {
    let server = try RcloneNFS()
    _ = try fixtureStore("gzip", in: server.root)
    let parts = server.url.split(separator: "?", maxSplits: 1)
    let url = "\(parts[0])?backup=backup-delta2&\(parts[1])&volume=macaw-vol"
    let output = try drover.run("restore", "file", folder("out"), "--from", url)
    #expect(output.status == 0, "\(output.error)")
    #expect(try isRight(folder("out")))
    server.stop()
  }
}
