import CDroverPlugin
import ChildProtocol
import CloneStage
import CryptoStage
import DroverModel
import Foundation
import LinuxSystem
import StageKit
import Synchronization
import TestKit
import Testing

@testable import Runner

/// Whole jobs: the runner's pump, the image stages and the filters, from file to file.
@Suite struct PipelineTests {
  /// The stages of two plugins, which stay as long as the process does.
  private struct Stages: StageLibrary {
    private static let loaded: [LoadedStage] = [
      Plugin(name: "clone", version: "1.0", stages: [CloneStage.self]),
      Plugin(name: "crypto", version: "1.0", stages: [CryptoStage.self, RekeyStage.self]),
    ].flatMap { plugin in
      let descriptor = plugin.descriptor.pointee
      return (0..<Int(descriptor.stage_count)).map { index in
        try! LoadedStage(plugin: "\(String(cString: descriptor.name)).so", descriptor: descriptor.stages[index]!)
      }
    }

    mutating func stage(named name: String) throws -> LoadedStage {
      guard let stage = Self.loaded.first(where: { $0.name == name }) else { throw Fault(.unknownStage, name) }
      return stage
    }
  }

  private let folder = TemporaryFolder("pipeline")
  private let quick: [String: JSONValue] = [
    "pbkdf": "argon2id", "pbkdfForceIterations": 4, "pbkdfMemory": 32,
  ]

  private func source(_ path: String) -> Pipeline.Stage { .init("clone", .source, ["path": .string(path)]) }
  private func sink(_ name: String) -> Pipeline.Stage {
    .init("clone", .sink, ["folder": .string(folder(name)), "name": .string(name), "uuid": "0a1b2c3d"])
  }
  private func image(_ name: String) -> String { folder("\(name)/backing") }

  /// - Parameter stopping: Told of every checkpoint; true ends the attempt there.
  private func run(
    _ pipeline: Pipeline, _ secrets: [(stage: Int, name: String, bytes: [UInt8])], attempt: Int = 1,
    checkpoint: Checkpoint? = nil, stopping: @escaping @Sendable (Checkpoint) -> Bool = { _ in false }
  ) throws -> WorkerReport {
    let interruption = Interruption()
    let job = JobContext(interruption: interruption) { report in
      if case .checkpoint(let checkpoint) = report, stopping(checkpoint) { interruption.ask(.pause) }
    }
    let order = JobOrder(
      mode: .run, job: "job-1", attempt: attempt, pipeline: pipeline, jobFolder: folder("job"), pluginFolders: [],
      concurrency: 3, stallSeconds: 30, hangSeconds: 600, checkpoint: checkpoint,
      secretNames: secrets.map { .init(stage: $0.stage, name: $0.name) })
    var attempt = Attempt(
      order: order, secrets: secrets.map { $0.bytes.withUnsafeBytes { SecretBytes(copying: $0) } }, library: Stages(),
      job: job, pace: CheckpointKeeper.Pace(seconds: 0, bytes: 1), admission: {}, hung: { _ in })
    let report = attempt.run()
    return try #require(report)
  }

  private func result(_ report: WorkerReport) throws -> JobResult {
    switch report {
    case .finished(let result): return result
    case .failed(let fault): throw fault
    default: throw Cryptsetup.Failed(description: "\(report)")
    }
  }

  private func fault(_ report: WorkerReport) -> Fault? { if case .failed(let fault) = report { fault } else { nil } }

  /// Noise, a hole of 6 MiB, noise; one sector more than whole blocks.
  private func makePlain() throws -> [UInt8] {
    let bytes = noise[..<(2 << 20)] + [UInt8](repeating: 0, count: 6 << 20) + noise[..<((2 << 20) + 512)]
    let file = try OpenFile.open(folder("plain"), .createNew(permissions: 0o600))
    try file.truncate(to: UInt64(bytes.count))
    try bytes[..<(2 << 20)].withUnsafeBytes { try file.write($0, at: 0) }
    try bytes[(8 << 20)...].withUnsafeBytes { try file.write($0, at: 8 << 20) }
    return Array(bytes)
  }

  private var encrypting: Pipeline {
    let params = quick.merging(["format": true]) { own, _ in own }
    return Pipeline(from: [source(folder("plain"))], to: [.init("crypto", .filter, params), sink("secret")])
  }

  @Test func anImageIsEncryptedReKeyedAndDecrypted() throws {
    let plain = try makePlain()
    let made = try result(try run(encrypting, [(1, "passphrase", passphrase)]))
    let bytes = try contents(image("secret"))
    #expect(made.size == Int64(plain.count + (16 << 20)) && bytes.count == plain.count + (16 << 20))
    #expect(made.values["encrypted"]?.bool == true && made.values["luks"]?["version"]?.int == 2)
    #expect(made.values["luks"]?["keySlots"]?.array?.count == 1)
    #expect(try FileStatus.of(image("secret"))!.allocatedBytes >= UInt64(bytes.count))
    #expect(Cryptsetup.opens(image("secret"), passphrase))

    let rekey = Pipeline(
      from: [source(image("secret")), .init("rekey", .filter, quick)], to: [sink("rekeyed")])
    let new = Array("new".utf8)
    let rekeyed = try result(
      try run(rekey, [(1, "passphrase", passphrase), (1, "new-passphrase", new)]))
    #expect(Cryptsetup.opens(image("rekeyed"), new) && !Cryptsetup.opens(image("rekeyed"), passphrase))
    let copy = try contents(image("rekeyed"))
    #expect(copy[(16 << 20)...] == bytes[(16 << 20)...] && rekeyed.checksum != made.checksum)

    let decrypt = Pipeline(
      from: [source(image("rekeyed")), .init("crypto", .filter)], to: [sink("again")])
    let back = try result(try run(decrypt, [(1, "passphrase", new)]))
    #expect(try contents(image("again")) == plain)
    #expect(back.values["encrypted"]?.bool == false && back.values["luks"] == nil)
    #expect(try FileStatus.of(image("again"))!.allocatedBytes < 5 << 20)
  }

  @Test func anEncryptionGoesOnWithItsHeader() throws {
    let plain = try makePlain()
    let last = Mutex<Checkpoint?>(nil)
    let first = try run(encrypting, [(1, "passphrase", passphrase)]) { checkpoint in
      last.withLock { $0 = checkpoint }
      return checkpoint.offset > 0
    }
    guard case .stopped = first else {
      Issue.record("\(first)")
      return
    }
    let before = try contents(folder("secret.partial/backing"))
    let header = Array(before[..<(16 << 20)])
    // No plain byte lies below the folder, whenever it is looked at.
    let mark = Array(noise[4096..<4128])
    #expect(!contains(before, mark))
    let second = try result(
      try run(encrypting, [(1, "passphrase", passphrase)], attempt: 2, checkpoint: last.withLock { $0 }))
    let bytes = try contents(image("secret"))
    #expect(Array(bytes[..<(16 << 20)]) == header)
    #expect(try decrypted(bytes) == plain && second.size == Int64(bytes.count))
  }

  private func contains(_ bytes: [UInt8], _ part: [UInt8]) -> Bool {
    Data(bytes).range(of: Data(part)) != nil
  }

  @Test func aWrongPassphraseLeavesNothing() throws {
    try write(try encrypted(Array(noise[..<8192])), to: folder("image"))
    let decrypt = Pipeline(from: [source(folder("image")), .init("crypto", .filter)], to: [sink("out")])
    let fault = fault(try run(decrypt, [(1, "passphrase", [1, 2, 3])]))
    #expect(fault?.code == .wrongKey && fault?.retry == .never && fault?.code.exitCode == 8)
    #expect(try Folder.list(folder.path).sorted() == ["image", "job"])
  }

  @Test func whatIsEncryptedIsNotEncryptedAgain() throws {
    try write(try encrypted(Array(noise[..<8192])), to: folder("plain"))
    let fault = fault(try run(encrypting, [(1, "passphrase", passphrase)]))
    #expect(fault?.message.contains("cannot re-encrypt the backing image") == true, "\(String(describing: fault))")
    #expect(try Folder.list(folder.path).sorted() == ["job", "plain"])
  }
}
