import ControlAPI
import DroverModel
import Foundation
import TestKit
import Testing

/// `drover volume`, `snapshot`, `backup create volume` and `restore volume`.
@Suite struct VolumeCommandTests {
  private let daemon: FakeDaemon
  init() throws { daemon = try FakeDaemon() }

  private func sent(_ index: Int = 0) throws -> JSONValue {
    let requests = daemon.server.requests
    try #require(requests.count > index)
    return try APIJSON.decode(JSONValue.self, from: String(decoding: requests[index].body, as: UTF8.self))
  }

  private func volume(_ change: (inout Volume.Status) -> Void = { _ in }) -> Resource {
    var status = Volume.Status()
    (status.state, status.robustness, status.path) = (.detached, .healthy, "/v/vol1")
    status.size = 10 << 30
    change(&status)
    return Resource(kind: "Volume", metadata: .init(name: "vol1"), spec: ["size": "10737418240"], status: status.fields)
  }

  private func snapshot(_ name: String, volume: String = "vol1", stored: String? = nil, ready: Bool = true) -> Resource
  {
    var status = Snapshot.Status()
    status.readyToUse = ready
    status.creationTime = "2026-01-0\(name.count)T00:00:00Z"
    var spec: [String: JSONValue] = ["volume": .string(volume)]
    spec["snapshotName"] = stored.map { .string($0) }
    return Resource(kind: "Snapshot", metadata: .init(name: name), spec: spec, status: status.fields)
  }

  @Test func creating() throws {
    try daemon.answer("/v1/volumes/vol1", 201, applied(.created, volume()))
    let output = try daemon.run(
      "volume", "create", "vol1", "--size", "10G", "--image", "parrot", "--encrypted", "--secret", "ns/key")
    #expect(output.status == 0 && output.out == "volume/vol1 created\n", "\(output)")
    #expect(
      try sent()["spec"] == [
        "size": "10737418240", "backingImage": "parrot", "encrypted": true, "secret": "key", "secretNamespace": "ns",
      ])
    for arguments in [["vol1"], ["vol1", "--size", "big"], ["--size", "1G"]] {
      #expect(
        try Output.of(["volume", "create"] + arguments, socket: daemon.folder("sock")).status == 2, "\(arguments)")
    }
  }

  @Test func waitingForOne() throws {
    try daemon.answer("/v1/volumes/vol1", volume())
    #expect(try daemon.run("wait", "vol/vol1").status == 0)
    #expect(try daemon.run("wait", "vol/vol1", "--for", "detached").status == 0)
    #expect(try daemon.run("wait", "vol/vol1", "--for", "attached").status == 5)
    #expect(try daemon.run("wait", "vol/vol1", "--for", "ready").status == 2)
    try daemon.answer(
      "/v1/volumes/vol1",
      volume {
        $0.robustness = .faulted
        $0.message = "no space"
      })
    for goal in [[], ["--for", "detached"]] {
      let output = try Output.of(["wait", "volume/vol1"] + goal, socket: daemon.folder("sock"))
      #expect(output.status == 1 && output.error.contains("no space"), "\(output)")
    }
  }

  @Test func restoring() throws {
    let url = "file:///s?backup=b1&volume=vol1"
    try daemon.answer("/v1/volumes", 201, applied(.created, volume()))
    #expect(try daemon.run("restore", "volume", "--from", url).out == "volume/vol1 created\n")
    #expect(try sent()["spec"] == ["fromBackup": .string(url)])
    try daemon.answer("/v1/volumes/vol2", 201, applied(.created, volume()))
    let forced = try daemon.run("restore", "volume", "vol2", "--from", url, "--backing-image", "robin", "--force")
    #expect(forced.status == 0)
    #expect(
      try sent(1)["spec"] == ["fromBackup": .string(url), "backingImage": "robin", "acceptBackingImage": true])
    #expect(try daemon.run("restore", "volume", "--from", url, "--force").status == 2)
    #expect(try daemon.run("restore", "volume").status == 2)
  }

  @Test func backingUp() throws {
    let backup = Resource(kind: "Backup", metadata: .init(name: "backup-1"))
    try daemon.answer("/v1/backups", 201, applied(.created, backup))
    let output = try daemon.run(
      "backup", "create", "volume", "vol1", "--snapshot", "s1", "--full", "--label", "k=v", "--target", "usb")
    #expect(output.out == "backup/backup-1 created\n")
    #expect(
      try sent()["spec"] == [
        "userCreated": true, "volumeName": "vol1", "snapshotName": "s1", "backupMode": "full",
        "labels": ["k": "v"], "backupTargetName": "usb",
      ])
    #expect(try daemon.run("backup", "create", "vol", "vol1").status == 0)
    #expect(try sent(1)["spec"] == ["userCreated": true, "volumeName": "vol1"])
  }

  @Test func snapshots() throws {
    try daemon.answer("/v1/snapshots/s1", 201, applied(.created, snapshot("s1")))
    #expect(try daemon.run("snapshot", "create", "vol1", "s1", "--label", "k=v").out == "snapshot/s1 created\n")
    #expect(try sent()["spec"] == ["volume": "vol1", "createSnapshot": true, "labels": ["k": "v"]])
    try daemon.answer("/v1/snapshots", 201, applied(.created, snapshot("snapshot-1")))
    #expect(try daemon.run("snapshot", "create", "vol1").out == "snapshot/snapshot-1 created\n")

    try daemon.answer("/v1/volumes/vol1", volume())
    try daemon.answer(
      "/v1/snapshots",
      ResourceList([
        snapshot("s22"), snapshot("s1"), snapshot("other", volume: "vol2"), snapshot("s1-vol1", stored: "S-1"),
      ]))
    #expect(
      try daemon.run("snapshot", "list", "vol1", "-o", "name").out
        == "snapshot/s1\nsnapshot/s22\nsnapshot/s1-vol1\n")
    #expect(try daemon.run("snapshot", "list", "vol1").out.contains("S-1"))
    try daemon.answer("/v1/snapshots/s1-vol1", DeleteResponse(job: nil))
    #expect(try daemon.run("snapshot", "delete", "vol1", "S-1").out == "snapshot/s1-vol1 deleted\n")
    #expect(try daemon.run("snapshot", "delete", "vol1", "other").status == 4)
    try daemon.answer(
      "/v1/volumes/vol1/revert", 202, Resource(kind: "Job", metadata: .init(name: "job-0123456789abcdef")))
    #expect(try daemon.run("snapshot", "revert", "vol1", "S-1").out == "volume/vol1 reverting, job-0123456789abcdef\n")
    let body = try #require(daemon.server.requests.last).body
    #expect(String(decoding: body, as: UTF8.self) == #"{"snapshot":"S-1"}"#)
    try daemon.refuse("/v1/volumes/vol9", Fault(.notFound, "it does not exist"))
    #expect(try daemon.run("snapshot", "list", "vol9").status == 4)
  }

  @Test func exporting() throws {
    try daemon.answer("/v1/backingimages/golden", 201, applied(.created, image("golden", .pending)))
    #expect(
      try daemon.run("image", "create", "golden", "--from-volume", "vol1", "--snapshot", "s1").status == 0)
    #expect(
      try sent()["spec"] == [
        "sourceType": "export-from-volume",
        "sourceParameters": ["volume-name": "vol1", "export-type": "raw", "snapshot-name": "s1"],
      ])
    #expect(try daemon.run("image", "create", "golden", "--from-url", "http://h/x", "--snapshot", "s1").status == 2)
  }

  /// The head first, and beside the chain what is not below it any more.
  @Test func theLayersAreDrawn() throws {
    func layer(_ name: String, parent: String) -> Resource {
      var snapshot = snapshot(name)
      var status = Snapshot.Status(snapshot.status)
      (status.parent, status.size, status.creationTime) = (parent, 4096, nil)
      snapshot.status = status.fields
      return snapshot
    }
    let object = volume {
      $0.chain = ["volume-head-002.img", "s3", "s1"]
      $0.backingImage = "parrot"
    }
    try daemon.answer("/v1/volumes/vol1/describe", Description(object: object))
    try daemon.answer(
      "/v1/snapshots",
      ResourceList([
        layer("s1", parent: ""), layer("s2", parent: "s1"), layer("s4", parent: "s2"), layer("s3", parent: "s1"),
      ]))
    let output = try daemon.run("describe", "volume", "vol1")
    #expect(
      output.out.contains(
        """
        Layers
          head
          s3  (4.0 KiB)
          | s2  (4.0 KiB)
          | | s4  (4.0 KiB)
          s1  (4.0 KiB)
          backingimage/parrot

        """), "\(output)")
  }
}
