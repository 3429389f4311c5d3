import CDroverPlugin
import StageKit
import Synchronization
import Testing

/// Structs of another version: shorter ones lack their last fields, longer ones have more than we know.
@Suite(.serialized) struct StructSizeTests {
  let memory: HostedStage
  init() throws { memory = HostedStage(try #require(Samples.plugin.descriptor.pointee.stages[0])) }

  /// Memory for a struct, with room behind it, filled with a pattern; `size` is what the struct says of itself.
  func withStruct<Struct, Answer>(
    _ initial: Struct, size: Int, _ body: (UnsafeMutablePointer<Struct>, UnsafeMutableRawBufferPointer) throws -> Answer
  ) rethrows -> Answer {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: MemoryLayout<Struct>.size + 256, alignment: 16)
    defer { room.deallocate() }
    room.initializeMemory(as: UInt8.self, repeating: 0xA5)
    let pointer = room.baseAddress!.assumingMemoryBound(to: Struct.self)
    withUnsafeBytes(of: initial) { room.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0.prefix(size))) }
    room.storeBytes(of: size, as: Int.self)
    return try body(pointer, room)
  }

  func isUntouched(_ room: UnsafeMutableRawBufferPointer, from offset: Int) -> Bool {
    room[offset...].allSatisfy { $0 == 0xA5 }
  }

  @Test(arguments: [0, 8, 12, 16, 48, 100, 112, 1136, 1200, 1648])
  func anErrorIsFilledAsFarAsItReaches(size: Int) {
    withStruct(drover_error(), size: size) { error, room in
      var handle: UnsafeMutableRawPointer?
      let arguments = OpenArguments(DROVER_ROLE_SOURCE, "{}")
      let answer = memory.stage.pointee.open(memory.stage, memory.host.pointer, arguments.pointer, &handle, error)
      #expect(answer == -1 && handle == nil)
      #expect(isUntouched(room, from: max(size, 8)))
      if size >= 112 {
        #expect(String(cString: room.baseAddress!.advanced(by: 48).assumingMemoryBound(to: CChar.self)) == "invalid")
      }
      if size >= 1136 {
        #expect(
          String(cString: room.baseAddress!.advanced(by: 112).assumingMemoryBound(to: CChar.self))
            == "parameter size is missing")
      }
    }
  }

  @Test func aLongerErrorIsFilledAsFarAsItIsKnown() {
    withStruct(drover_error(), size: MemoryLayout<drover_error>.size + 100) { error, room in
      var handle: UnsafeMutableRawPointer?
      let arguments = OpenArguments(DROVER_ROLE_SOURCE, "{}")
      #expect(memory.stage.pointee.open(memory.stage, memory.host.pointer, arguments.pointer, &handle, error) == -1)
      #expect(isUntouched(room, from: MemoryLayout<drover_error>.size))
    }
  }

  @Test func noErrorAtAllIsFineToo() {
    let arguments = OpenArguments(DROVER_ROLE_SOURCE, "{}")
    var handle: UnsafeMutableRawPointer?
    #expect(memory.stage.pointee.open(memory.stage, memory.host.pointer, arguments.pointer, &handle, nil) == -1)
  }

  @Test(arguments: [8, 16, 24, 40, 48, 72, 172])
  func infoIsFilledAsFarAsBothReach(size: Int) throws {
    let device = try memory.open(DROVER_ROLE_SOURCE, #"{"size":4096}"#)
    withStruct(drover_device_info(), size: size) { info, room in
      let answer = device.device.pointee.ops.pointee.info(device.device.pointee.handle, info, nil)
      #expect(answer == 0)
      let known = min(size, MemoryLayout<drover_device_info>.size)
      #expect(isUntouched(room, from: known))
      #expect(info.pointee.struct_size == known)
      if size >= 16 { #expect(info.pointee.size == 4096) }
      if size >= 48 { #expect(String(cString: info.pointee.identity) == "id-0") }
      if size < 16 { #expect(room[8] == 0xA5) }
    }
  }

  @Test func aHostThatKnowsLessOfAPlanGetsLess() throws {
    let arguments = OpenArguments(DROVER_ROLE_SINK, #"{"size":99}"#)
    withStruct(drover_plan(), size: 32) { plan, room in
      #expect(memory.stage.pointee.plan(memory.stage, memory.host.pointer, arguments.pointer, nil, plan, nil) == 0)
      #expect(isUntouched(room, from: 32))
      #expect(plan.pointee.size == 99 && plan.pointee.space == 7)
    }
  }

  @Test func whatAnOlderHostDoesNotSayHasADefault() throws {
    let whole = OpenArguments(DROVER_ROLE_SINK, #"{"size":9}"#, checkpoint: [1])
    var handle: UnsafeMutableRawPointer?
    withStruct(whole.pointer.pointee, size: MemoryLayout<drover_open>.offset(of: \.secrets)!) { open, _ in
      #expect(memory.stage.pointee.open(memory.stage, memory.host.pointer, open, &handle, nil) == 0)
    }
    memory.stage.pointee.device.pointee.close(handle)
    #expect(
      MemoryStage.lastRequest.withLock { $0 } == [
        "sink", "true", "", "", "1", "1", "30", "[]", "[]", "false", "false",
      ])
  }

  @Test func whatANewerHostSaysMoreIsIgnored() throws {
    let whole = OpenArguments(DROVER_ROLE_SINK, #"{"size":9}"#, checkpoint: [1])
    var handle: UnsafeMutableRawPointer?
    withStruct(whole.pointer.pointee, size: MemoryLayout<drover_open>.size) { open, _ in
      open.pointee.struct_size += 200
      #expect(memory.stage.pointee.open(memory.stage, memory.host.pointer, open, &handle, nil) == 0)
    }
    memory.stage.pointee.device.pointee.close(handle)
    #expect(MemoryStage.lastRequest.withLock { $0 }[7] == "[1]")
  }

  @Test func aHostThatOffersLittleIsEnough() throws {
    let task = HostedStage(try #require(Samples.plugin.descriptor.pointee.stages[1]))
    let arguments = OpenArguments(DROVER_ROLE_TASK, "{}")
    withStruct(task.host.pointer.pointee, size: MemoryLayout<drover_host>.offset(of: \.cancelled)!) { host, _ in
      #expect(task.stage.pointee.run(task.stage, host, arguments.pointer, nil) == 0)
    }
    #expect(task.host.records.withLock { $0 } == ["log 1 ready"])
  }

  @Test func aShorterCommitAndAShorterTableOfCalls() throws {
    let device = try memory.open(DROVER_ROLE_SINK, #"{"size":9}"#)
    try withStruct(drover_commit(), size: 16) { commit, _ in
      commit.pointee.size = 512
      let failure = try failure {
        _ = try PluginFailure.check {
          device.device.pointee.ops.pointee.commit(device.device.pointee.handle, commit, $0)
        }
      }
      #expect(failure.message == "512 none none")
    }
    let ops = device.device.pointee.ops!.pointee
    try withStruct(ops, size: MemoryLayout<drover_device_ops>.offset(of: \.pread)!) { table, _ in
      var lower = drover_device(
        struct_size: MemoryLayout<drover_device>.size, handle: device.device.pointee.handle, ops: table)
      try withUnsafeMutablePointer(to: &lower) { lower in
        let arguments = OpenArguments(DROVER_ROLE_FILTER, #"{"size":9}"#)
        arguments.pointer.pointee.lower = UnsafePointer(lower)
        var handle: UnsafeMutableRawPointer?
        #expect(memory.stage.pointee.open(memory.stage, memory.host.pointer, arguments.pointer, &handle, nil) == 0)
        let upper = HostedDevice(try #require(handle), ops: memory.stage.pointee.device, arguments)
        let failure = try failure { _ = try upper.read(1) }
        #expect(failure.code == "not-supported" && failure.message.contains("pread"))
      }
    }
  }
}
