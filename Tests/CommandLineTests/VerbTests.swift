import ControlAPI
import DroverModel
import Foundation
import Glibc
import TestKit
import Testing

@Suite struct VerbTests {
  private let daemon: FakeDaemon
  init() throws { daemon = try FakeDaemon() }

  private func sentSpec() throws -> JSONValue? {
    let body = try #require(daemon.server.requests.first).body
    return try APIJSON.decode(JSONValue.self, from: String(decoding: body, as: UTF8.self))["spec"]
  }

  @Test(
    arguments: [
      (
        ["--from-url", "http://h/x", "--checksum", "ab"],
        ["sourceType": "download", "sourceParameters": ["url": "http://h/x"], "checksum": "ab"]
      ),
      (
        ["--from-image", "macaw"],
        ["sourceType": "clone", "sourceParameters": ["backing-image": "macaw", "encryption": "ignore"]]
      ),
      (
        ["--from-backup", "file:///s?backingImage=ab", "--concurrent-limit", "2"],
        [
          "sourceType": "restore",
          "sourceParameters": ["backup-url": "file:///s?backingImage=ab", "concurrent-limit": "2"],
        ]
      ),
    ] as [([String], JSONValue)])
  func images(arguments: [String], spec: JSONValue) throws {
    try daemon.answer("/v1/backingimages/parrot", 201, applied(.created, image("parrot", .pending)))
    let output = try Output.of(["image", "create", "parrot"] + arguments, socket: daemon.folder("sock"))
    #expect(output.status == 0)
    #expect(output.out == "backingimage/parrot created\n")
    #expect(try sentSpec() == spec)
  }

  @Test func whatCanBeNoImageIsNotSent() throws {
    for size in [0, 1000] {
      let file = daemon.folder("odd-\(size)")
      try String(repeating: "x", count: size).write(toFile: file, atomically: true, encoding: .utf8)
      let output = try daemon.run("image", "create", "parrot", "--from-file", file)
      #expect(output.status == 1)
      #expect(output.error.contains("multiple of 512"), "\(output)")
    }
    #expect(daemon.server.requests.isEmpty, "nothing waits for better content")
  }

  @Test func savingToWhatIsNoFile() throws {
    let content = [UInt8]((0..<300_000).map { UInt8(truncatingIfNeeded: $0) })
    daemon.server.serve("/v1/backingimages/parrot/content") { _ in ScriptedAnswer(200, body: content) }
    #expect(try daemon.run("image", "save", "parrot", "/dev/null").status == 0)
    #expect(try daemon.run("image", "save", "parrot", "/dev/full").status == 9)

    let (pipe, copy) = (daemon.folder("pipe"), daemon.folder("copy"))
    #expect(mkfifo(pipe, 0o600) == 0)
    let reader = Process()
    reader.executableURL = URL(fileURLWithPath: "/bin/cp")
    reader.arguments = ["--copy-contents", pipe, copy]
    try reader.run()
    let saved = try daemon.run("image", "save", "parrot", pipe)
    #expect(saved.status == 0, "\(saved)")
    reader.waitUntilExit()
    #expect(try Data(contentsOf: URL(fileURLWithPath: copy)) == Data(content))
  }

  @Test func uploading() throws {
    let content = String(repeating: "x", count: 1536)
    let file = daemon.folder("disk.raw")
    try content.write(toFile: file, atomically: true, encoding: .utf8)
    try daemon.answer("/v1/backingimages/parrot", 201, applied(.created, image("parrot", .pending)))
    try daemon.answer("/v1/backingimages/parrot/content", image("parrot", .ready))
    let output = try daemon.run("image", "create", "parrot", "--from-file", file)
    #expect(output.status == 0)
    #expect(output.out == "backingimage/parrot created\n")
    let request = try #require(daemon.server.requests.last)
    #expect(request.method == "PUT")
    #expect(request.headers["content-length"] == "1536")
    #expect(request.body == Array(content.utf8))

    let piped = try daemon.run("image", "create", "parrot", "--from-file", "-", "-o", "name", input: content)
    #expect(piped.out == "backingimage/parrot\n")
    #expect(daemon.server.requests.last?.body == Array(content.utf8))
    #expect(try daemon.run("image", "create", "parrot", "--from-file", daemon.folder("absent")).status == 4)
    #expect(try daemon.run("image", "create", "parrot", "--from-file", daemon.folder.path).status == 2)
  }

  @Test func saving() throws {
    let content = [UInt8](repeating: 7, count: 100_000)
    daemon.server.serve("/v1/backingimages/parrot/content") { _ in ScriptedAnswer(200, body: content) }
    let file = daemon.folder("out.raw")
    #expect(try daemon.run("image", "save", "parrot", file).status == 0)
    #expect(try Data(contentsOf: URL(fileURLWithPath: file)) == Data(content))
    #expect(try daemon.run("image", "save", "parrot", "-").out.utf8.count == content.count)
  }

  @Test func aSaveThatBreaksOffLeavesTheOldFile() throws {
    daemon.server.serve("/v1/backingimages/parrot/content") { _ in
      var answer = ScriptedAnswer(200, body: [UInt8](repeating: 7, count: 100_000))
      answer.fault = (after: 5000, .close)
      return answer
    }
    let file = daemon.folder("out.raw")
    try "old".write(toFile: file, atomically: true, encoding: .utf8)
    #expect(try daemon.run("image", "save", "parrot", file).status != 0)
    #expect(try String(contentsOfFile: file, encoding: .utf8) == "old")
    #expect(try FileManager.default.contentsOfDirectory(atPath: daemon.folder.path).sorted() == ["out.raw", "sock"])
  }

  @Test func backups() throws {
    let backup = Resource(
      kind: "BackupBackingImage", metadata: .init(name: "parrot-usb"),
      status: BackupBackingImage.Status(url: "file:///s?backingImage=parrot", backingImage: "parrot").fields)
    try daemon.answer("/v1/backupbackingimages", 201, applied(.created, backup))
    let created = try daemon.run(
      "backup", "create", "image", "parrot", "--target", "usb", "--label", "usecase=test", "--label", "type=raw",
      "--compression", "gzip")
    #expect(created.out == "backupbackingimage/parrot-usb created\n")
    #expect(
      try sentSpec() == [
        "backingImage": "parrot", "backupTargetName": "usb", "userCreated": true,
        "labels": ["usecase": "test", "type": "raw"], "compressionMethod": "gzip",
      ])
    #expect(try daemon.run("backup", "create", "target", "v").status == 2)
    #expect(try daemon.run("backup", "create", "image", "parrot", "--full").status == 2)
    #expect(try daemon.run("backup", "create", "image", "parrot", "--label", "x").status == 2)

    try daemon.answer("/v1/backupbackingimages", ResourceList([backup]))
    try daemon.answer("/v1/backups", ResourceList([]))
    #expect(try daemon.run("backup", "list", "-o", "name").out == "backupbackingimage/parrot-usb\n")

    try daemon.answer("/v1/backupbackingimages/parrot-usb", backup)
    try daemon.answer("/v1/backups/inspect", ["state": JSONValue.string("Completed"), "size": 512])
    #expect(try daemon.run("backup", "inspect", "parrot-usb").out == "size: 512\nstate: Completed\n")
    #expect(daemon.server.requests.last?.body == Array(#"{"url":"file:\/\/\/s?backingImage=parrot"}"#.utf8))
  }

  @Test func deleting() throws {
    let path = "/v1/backupbackingimages/parrot"
    let removal = try Array(APIJSON.encode(DeleteResponse(job: job(.running))).utf8)
    daemon.server.serve(path) { request in
      ScriptedAnswer(request.method == "DELETE" ? 202 : 404, body: removal)
    }
    try daemon.answer("/v1/jobs/job-0123456789abcdef", inTurn: [job(.running), job(.succeeded)])
    #expect(
      try daemon.run("delete", "bbi", "parrot").out == "backupbackingimage/parrot deleting, job-0123456789abcdef\n")
    try daemon.refuse("/v1/backingimages/parrot", Fault(.inUse, "backupbackingimage/parrot needs it"))
    try daemon.answer("/v1/backingimages/macaw", DeleteResponse())
    let both = try daemon.run("delete", "bi", "parrot", "macaw")
    #expect(both.status == 3)
    #expect(both.out == "backingimage/macaw deleted\n")
    #expect(try daemon.run("delete", "bi", "parrot").status == 5)
    #expect(try daemon.run("delete", "job", "job-1").status == 2)
    #expect(try daemon.run("delete", "bi").status == 2)
  }

  @Test func jobActions() throws {
    for (action, state) in [
      ("cancel", Job.State.cancelled), ("retry", .pending), ("pause", .paused), ("resume", .pending),
    ] {
      try daemon.answer("/v1/jobs/job-1/\(action)", 202, job(state))
      let output = try daemon.run("job", action, "job-1")
      #expect(output.out == "job/job-0123456789abcdef \(state.rawValue)\n")
    }
    #expect(Set(daemon.server.requests.map(\.method)) == ["POST"])
    try daemon.refuse("/v1/jobs/job-2/pause", Fault(.conflict, "it is over"))
    #expect(try daemon.run("job", "pause", "job-2").status == 5)
    #expect(try daemon.run("job", "show", "../status").status == 2)
  }
}
