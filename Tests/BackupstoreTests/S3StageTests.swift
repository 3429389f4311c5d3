import Backupstore
import Foundation
import StageKit
import TestKit
import Testing

@testable import BackupStage
@testable import RestoreStage

/// The stages with a target that needs credentials, which come in as a stage's secrets.
@Suite(.enabled(if: RcloneS3.isMissing == nil, "rclone can't be started here"))
struct S3StageTests {
  private let job = TemporaryFolder("job")
  private let host = StageTests.TestHost()

  private func request(
    _ role: OpenRequest.Role, _ params: String, secret: String = RcloneS3.secretKey, source: (any Device)? = nil,
    _ body: (OpenRequest) throws -> Void
  ) throws {
    let values = [
      "AWS_ACCESS_KEY_ID": RcloneS3.accessKey, "AWS_SECRET_ACCESS_KEY": secret,
      "AWS_ENDPOINTS": "http://127.0.0.1:\(try #require(RcloneS3.shared).port)",
    ]
    // One buffer a value, wiped after use as the runner does it.
    let secrets = values.map { name, value in
      let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: value.utf8.count, alignment: 1)
      bytes.copyBytes(from: value.utf8)
      return (name, bytes)
    }
    defer {
      for (_, bytes) in secrets {
        bytes.initializeMemory(as: UInt8.self, repeating: 0)
        bytes.deallocate()
      }
    }
    try body(
      OpenRequest(
        role: role, writable: role == .sink, params: params,
        secrets: secrets.map { .init(name: $0.0, bytes: UnsafeRawBufferPointer($0.1)) }, job: "job",
        jobFolder: job.path, source: source))
  }

  @Test func anImageGoesThereAndBack() throws {
    let server = try #require(RcloneS3.shared)
    let target = "s3://\(try server.makeBucket())@us-east-1/golden"
    let image = StageTests.image
    try BackupStage.$timing.withValue(.brisk) {
      let params = #"{"target":"\#(target)","name":"parrot"}"#
      try request(.sink, params, source: StageTests.ImageDevice(image)) { request in
        let plan = try #require(try BackupStage.plan(request, below: Plan(size: image.size), host: host))
        #expect(plan.space == 0 && plan.spacePath == nil)
        let device = try BackupStage.open(request, host: host)
        defer { device.close() }
        for offset in image.blocks {
          try image.bytes.withUnsafeBytes {
            try device.write(UnsafeRawBufferPointer(rebasing: $0[image.range(offset)]), at: offset)
          }
        }
        try device.flush()
        try device.commit(Commit(size: image.size, sha512: image.checksum))
      }
    }
    let url = "\(target)?backingImage=parrot"
    #expect(try host.record("result")["url"] as? String == url)

    try RestoreStage.$timing.withValue(.brisk) {
      try request(.source, #"{"url":"\#(url)"}"#) { request in
        let device = try RestoreStage.open(request, host: host)
        defer { device.close() }
        var back = [UInt8](repeating: 0xff, count: image.bytes.count)
        _ = try back.withUnsafeMutableBytes { try device.read(into: $0, at: 0) }
        #expect(same(back, image.bytes))
      }
    }
    try request(.task, #"{"url":"\#(url)"}"#) { try InspectBackupTask.run($0, host: host) }
    #expect(try host.record("result")["checksum"] as? String == image.checksum)
  }

  @Test func aProbeTellsWrongCredentials() throws {
    let server = try #require(RcloneS3.shared)
    let target = "s3://\(try server.makeBucket())@us-east-1/"
    try request(.task, #"{"target":"\#(target)"}"#, secret: "wrong") { try ProbeTargetTask.run($0, host: host) }
    #expect(try host.record("result")["code"] as? String == "credentials-refused")
    try request(.task, #"{"target":"\#(target)"}"#) { try ProbeTargetTask.run($0, host: host) }
    #expect(try host.record("result")["available"] as? Bool == true)
  }
}
