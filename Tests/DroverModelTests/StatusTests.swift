import DroverModel
import Testing

@Suite struct StatusTests {
  @Test func anImagesStatusReadsBack() {
    let status = BackingImage.Status(
      state: .inProgress, progress: 40, message: "copying", uuid: "0badcafe", checksum: sampleChecksum, size: 1 << 40,
      virtualSize: 2, realSize: 3, format: "qcow2", encrypted: true, luks: ["cipher": "aes-xts-plain64"], path: "/p",
      secret: "s", secretNamespace: "n",
      job: "job-1")
    #expect(BackingImage.Status(status.fields) == status)
    #expect(status.fields["state"] == "in-progress")
    #expect(BackingImage.Status(["state": "made-up"]).state == .unknown)
    #expect(BackingImage.Status(uuid: "x").fields["path"] == nil)
  }

  @Test func aBackupsStatusReadsBack() {
    let status = BackupBackingImage.Status(
      state: .completed, progress: 100, error: "", url: "file:///s?backingImage=parrot", backingImage: "parrot",
      checksum: sampleChecksum, size: 512, labels: ["a": "b"], compressionMethod: "lz4", secret: "s",
      secretNamespace: "n", backupCreatedAt: "t", lastSyncedAt: "u", lastVerified: "v", newlyUploadedDataSize: 9,
      job: "job-1")
    #expect(BackupBackingImage.Status(status.fields) == status)
    let documented = [
      "state", "progress", "error", "url", "backingImage", "checksum", "size", "labels", "compressionMethod", "secret",
      "secretNamespace", "backupCreatedAt", "lastSyncedAt", "lastVerified",
    ]
    #expect(Set(documented).subtracting(status.fields.keys).isEmpty)
  }

  @Test func aTargetsStatusReadsBack() {
    let status = BackupTarget.Status(
      available: false,
      conditions: [.init(status: true, reason: "target-unreachable", message: "gone", lastProbeTime: "t")],
      lastSyncedAt: "u")
    #expect(BackupTarget.Status(status.fields) == status)
    #expect(status.fields["conditions"]?.array?.first?["type"] == "Unavailable")
    #expect(status.fields["conditions"]?.array?.first?["status"] == "True")
  }

  @Test func aJobAsAnObject() {
    var job = Job(
      id: "job-1", kind: .download, owner: ResourceKey(.backingImage, "parrot"),
      pipeline: Pipeline(from: [.init("download", .source, ["url": "u"])], to: [.init("clone", .sink)]),
      state: .running,
      attempt: 2, createdAt: 0, startedAt: 1)
    let running = Resource(
      job: job,
      progress: .init(phase: "copying", bytesDone: 999, bytesTotal: 1000, bytesPerSecond: 10.7, etaSeconds: 0.1))
    #expect(running.kind == "Job")
    #expect(running.metadata.name == "job-1")
    #expect(running.status["progress"] == 99)
    #expect(running.status["bytesPerSecond"] == 10)
    #expect(running.status["etaSeconds"] == 1)
    #expect(running.status["owner"] == ["kind": "backingimage", "name": "parrot"])
    #expect(running.status["pipeline"]?["from"]?.array?.first?["params"] == ["url": "u"])
    #expect(running.status["startedAt"] == "1970-01-01T00:00:01Z")

    job.state = .failed
    job.error = Fault(.checksumMismatch, "differs", hint: "look")
    let failed = Resource(job: job)
    #expect(failed.status["error"]?["code"] == "checksum-mismatch")
    #expect(failed.status["error"]?["retry"] == "never")
    #expect(failed.status["progress"] == 0)
    job.state = .succeeded
    #expect(Resource(job: job).status["progress"] == 100)
  }
}
