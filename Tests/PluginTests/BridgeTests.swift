import CDroverPlugin
import Foundation
import StageKit
import Synchronization
import Testing

/// Swift stages, called by nothing but the pointers of their C table.
@Suite(.serialized) struct BridgeTests {
  let memory: HostedStage
  let task: HostedStage
  let bare: HostedStage

  init() throws {
    let stages = try #require(Samples.plugin.descriptor.pointee.stages)
    memory = HostedStage(try #require(stages[0]))
    task = HostedStage(try #require(stages[1]))
    bare = HostedStage(try #require(stages[2]))
  }

  @Test func theDescriptorSaysWhatTheTypesSay() throws {
    let plugin = Samples.plugin.descriptor.pointee
    #expect(plugin.struct_size == MemoryLayout<drover_plugin>.size)
    #expect(plugin.abi_major == DROVER_PLUGIN_ABI_MAJOR && plugin.abi_minor == DROVER_PLUGIN_ABI_MINOR)
    #expect(plugin.stage_count == 3 && plugin.required_minor == 0)
    #expect(String(cString: plugin.name) == "samples" && String(cString: plugin.version) == "2.5")
    let stage = memory.stage.pointee
    #expect(stage.roles == DROVER_ROLE_SOURCE | DROVER_ROLE_SINK | DROVER_ROLE_FILTER)
    #expect(stage.threads == DROVER_THREADS_PARALLEL && stage.flags == DROVER_STAGE_NETWORK)
    #expect(String(cString: stage.summary) == "bytes in memory")
    let params = try JSONDecoder().decode(
      [String: [String: Value]].self, from: Data(String(cString: stage.params).utf8))
    #expect(params["size"] == ["required": .bool(true), "summary": .text("in bytes")])
    #expect(params["misbehave"] == ["required": .bool(false), "summary": .text("how to go wrong, \"quoted\"")])
    #expect(stage.run == nil && stage.open != nil && stage.device != nil)
    #expect(task.stage.pointee.open == nil && task.stage.pointee.device == nil && task.stage.pointee.run != nil)
    #expect(task.stage.pointee.params == nil && task.stage.pointee.threads == DROVER_THREADS_SERIAL)
  }

  enum Value: Decodable, Equatable {
    case bool(Bool), text(String)
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      self =
        if let bool = try? container.decode(Bool.self) { .bool(bool) } else { .text(try container.decode(String.self)) }
    }
  }

  @Test func theRequestArrivesWhole() throws {
    let arguments = OpenArguments(DROVER_ROLE_SINK, #"{"size":1}"#, checkpoint: [5, 6])
    let secret: [UInt8] = [1, 2, 3]
    let name = strdup("KEY")
    defer { free(name) }
    var handle: UnsafeMutableRawPointer?
    try secret.withUnsafeBufferPointer { secret in
      var entry = drover_secret(name: UnsafePointer(name), bytes: secret.baseAddress, length: secret.count)
      try withUnsafePointer(to: &entry) { entry in
        arguments.pointer.pointee.secrets = entry
        arguments.pointer.pointee.secret_count = 1
        _ = try PluginFailure.check {
          memory.stage.pointee.open(memory.stage, memory.host.pointer, arguments.pointer, &handle, $0)
        }
      }
    }
    memory.stage.pointee.device.pointee.close(handle)
    #expect(
      MemoryStage.lastRequest.withLock { $0 } == [
        "sink", "true", "job-7", "/nonexistent", "2", "4", "5", "[5, 6]", #"["KEY=[1, 2, 3]"]"#, "false", "false",
      ])
  }

  @Test func bytesGoBothWays() throws {
    let device = try memory.open(DROVER_ROLE_SINK, #"{"size":1000}"#)
    try device.write([1, 2, 3], at: 500)
    try device.flush()
    #expect(try device.read(5, at: 499) == [0, 1, 2, 3, 0])
    try device.zero(501, 1)
    #expect(try device.read(5, at: 499) == [0, 1, 0, 3, 0])
  }

  @Test func anErrorKeepsItsParts() throws {
    let failure = try failure { _ = try memory.open(DROVER_ROLE_SOURCE, #"{"size":10}"#).read(11) }
    #expect(failure.domain == "memory" && failure.code == "out-of-range" && failure.message == "beyond 10 bytes")
    #expect(failure.hint == "read less" && failure.retry == DROVER_RETRY_AFTER_FIX && failure.systemError == 22)
  }

  @Test func aFailedSystemCallSaysWhatItMeans() throws {
    let failure = try failure {
      _ = try memory.open(DROVER_ROLE_SOURCE, #"{"size":10,"misbehave":"info"}"#).info()
    }
    #expect(failure.code == "no-space" && failure.retry == DROVER_RETRY_NEVER && failure.systemError == ENOSPC)
    #expect(failure.message == "fsync /x: No space left on device")
  }

  @Test(arguments: [
    ("{}", "parameter size is missing"), (#"{"size":"1"}"#, "parameter size must be a number"),
    (#"{"size":null}"#, "parameter size is null, but must be a number"),
    (#"{"size":1,"misbehave":[]}"#, "parameter misbehave must be a string"),
    (#"{"size":-1}"#, "parameter size has a number that it can't have"),
    (#"{"size":1.5,"misbehave":"x"}"#, "parameter size has a number that it can't have"),
    ("[]", "the parameters must be a JSON object"), ("{", "the parameters are not valid JSON"),
    ("", "the parameters are not valid JSON"),
  ])
  func aWrongParameterIsNamed(params: String, message: String) throws {
    let failure = try failure { _ = try memory.open(DROVER_ROLE_SOURCE, params) }
    #expect(failure.code == "invalid" && failure.message == message && failure.retry == DROVER_RETRY_NEVER)
  }

  @Test func infoStaysValidAndIsSharedWhileEqual() throws {
    let device = try memory.open(DROVER_ROLE_SINK, #"{"size":10}"#)
    let first = try device.info()
    let again = try device.info()
    #expect(first.identity == again.identity && first.block_hashes == again.block_hashes)
    try device.write([5])
    let changed = try device.info()
    #expect(String(cString: changed.identity) == "id-5" && String(cString: first.identity) == "id-0")
    #expect(String(cString: first.sha512) == String(repeating: "ab", count: 64))
    #expect(first.block_hash_count == 2 && first.block_hashes[63] == 9)
    #expect(first.size == 10 && first.data_size == 10 && first.block_min == 1 && first.block_preferred == 4096)
    #expect(first.block_max == 1 << 20 && first.flags == DROVER_DEVICE_WRITABLE | DROVER_DEVICE_IMAGE_FILE)
  }

  @Test func extentsAreClippedAndJoined() throws {
    let device = try memory.open(DROVER_ROLE_SOURCE, #"{"size":1000}"#)
    #expect(try device.extents(0, 1000) == [[0, 200, 0], [200, 300, 1], [500, 500, 2]])
    #expect(try device.extents(150, 100) == [[150, 50, 0], [200, 50, 1]])
    #expect(try device.extents(150, 900, capacity: 2) == [[150, 50, 0], [200, 300, 1]])
    #expect(try device.extents(700, 1) == [[700, 1, 2]])
  }

  @Test(arguments: ["no extents", "a gap"])
  func extentsThatDoNotDescribeTheRangeAreAnError(how: String) throws {
    let device = try memory.open(DROVER_ROLE_SOURCE, #"{"size":1000,"misbehave":"\#(how)"}"#)
    #expect(try failure { _ = try device.extents(0, 1000) }.code == "internal")
  }

  @Test func whatIsNotOfferedSaysSo() throws {
    let device = try memory.open(DROVER_ROLE_SOURCE, #"{"size":1000}"#)
    #expect(try device.fileRange(0, 10) == (77, 4096))
    #expect(try failure { _ = try device.fileRange(1, 10) }.code == "not-offered")
    #expect(try device.checkpoint(5) == [1, 2, 3, 5])
    #expect(try failure { _ = try device.checkpoint(0) }.code == "not-offered")
    #expect(try failure { _ = try device.checkpoint(65537) }.code == "internal")
    #expect(try failure { _ = try device.checkpoint(5, capacity: 3) }.code == "internal")
  }

  @Test func commitAndControlCarryTheirArguments() throws {
    let device = try memory.open(DROVER_ROLE_SINK, #"{"size":1000}"#)
    var commit = drover_commit()
    commit.struct_size = MemoryLayout<drover_commit>.size
    commit.size = 4096
    #expect(try failure { try device.commit(&commit) }.message == "4096 none none")
    try "beef".withCString { sha512 in
      try [UInt8](repeating: 0, count: 96).withUnsafeBufferPointer { hashes in
        commit.sha512 = sha512
        commit.block_hashes = hashes.baseAddress
        commit.block_hash_count = 3
        let told = try failure { try device.commit(&commit) }
        #expect(told.message == "4096 beef 96")
      }
    }
    #expect(try device.control("echo", #"{"ä":1}"#) == [#"{"ä":1}"#])
    #expect(try failure { _ = try device.control("dance", "{}") }.message == "no verb dance")
  }

  @Test func aPlanIsCarriedAndCut() throws {
    var below = drover_plan()
    below.struct_size = MemoryLayout<drover_plan>.size
    below.size = .max
    below.data_size = 55
    withUnsafeMutableBytes(of: &below.file_path) { $0.copyBytes(from: Array("/some/file".utf8)) }
    let plan = try memory.plan(DROVER_ROLE_SINK, #"{"size":99}"#, below: below)
    #expect(plan.size == 99 && plan.data_size == 55 && plan.space == 7)
    #expect(text(plan.space_path) == "/tmp" && text(plan.file_path) == "/some/file")
    #expect(text(plan.lock) == String(repeating: "ä", count: 127))
    let nothing = try memory.plan(DROVER_ROLE_SINK, #"{"size":99,"misbehave":"know nothing"}"#)
    #expect(nothing.size == .max && nothing.space == 0 && text(nothing.space_path) == "")
    let failure = try failure { _ = try memory.plan(DROVER_ROLE_SINK, #"{"size":9,"misbehave":"long path"}"#) }
    #expect(failure.code == "invalid" && failure.message.hasPrefix("the path is longer than 1023 bytes"))
  }

  @Test func aTaskRunsAndSpeaks() throws {
    try task.run(#"{"a":1}"#)
    #expect(
      task.host.records.withLock { $0 } == [
        "phase thinking", "phase waiting for it", "progress 3 9", #"emit result {"a":1}"#, "log 1 ready",
      ])
    #expect(try failure { try task.run("boom") }.code == "internal")
    #expect(try failure { try task.run("boom") }.message == "Boom()")
    task.host.isCancelled.withLock { $0 = true }
    #expect(try failure { try task.run() }.code == "cancelled")
    try memory.discard(DROVER_ROLE_SINK)
    #expect(memory.host.records.withLock { $0 } == ["log 2 discarded in two lines"])
    try task.discard(DROVER_ROLE_TASK)
  }

  @Test func whatAStageLeavesOutHasADefault() throws {
    let device = try bare.open(DROVER_ROLE_SINK)
    #expect(try device.info().size == .max)
    #expect(try device.extents(5, 10) == [[5, 10, 0]])
    try device.flush()
    for (call, body) in [
      ("pread", { _ = try device.read(1) }), ("pwrite", { try device.write([1]) }),
      ("zero", { try device.zero(0, 1) }), ("control", { _ = try device.control("a", "{}") }),
    ] as [(String, () throws -> Void)] {
      #expect(try failure(body).code == "not-supported", "\(call)")
    }
    #expect(try failure { _ = try device.fileRange(0, 1) }.code == "not-offered")
    #expect(try failure { _ = try device.checkpoint(0) }.code == "not-offered")
    #expect(try bare.plan(DROVER_ROLE_SOURCE).size == .max)
  }

  @Test func aDeviceLivesUntilCloseAndIsClosedOnce() throws {
    let before = MemoryStage.open.withLock { $0 }
    let device = try memory.open(DROVER_ROLE_SOURCE, #"{"size":10}"#)
    #expect(MemoryStage.open.withLock { $0 } == before + 1)
    device.close()
    #expect(MemoryStage.open.withLock { $0 } == before)
  }

  @Test func aDeviceOfTheOtherSideIsADeviceHere() throws {
    let lower = try memory.open(DROVER_ROLE_SOURCE, #"{"size":100}"#)
    try lower.write([7, 8, 9])
    let upper = try memory.open(DROVER_ROLE_FILTER, #"{"size":100}"#, lower: lower)
    #expect(try upper.read(3) == [7, 8, 9])
    let failure = try failure { _ = try upper.read(3, at: 99) }
    #expect(failure.code == "out-of-range" && failure.domain == "memory" && failure.hint == "read less")
    upper.close()
    #expect(try lower.read(1) == [7])
  }

  private func text<Field>(_ field: Field) -> String {
    withUnsafeBytes(of: field) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
  }
}
