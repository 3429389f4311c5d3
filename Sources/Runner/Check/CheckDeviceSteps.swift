import CDroverPlugin
import DroverModel
import Glibc
import LinuxSystem
import Synchronization

/// The rows that call a device by themselves, without a copy round it.
struct CheckDeviceSteps {
  let subject: CheckSubject
  private var stage: LoadedStage { subject.stage }

  // MARK: Opening

  func opensAndCloses() throws -> CheckPassed {
    // The first opening may bring what stays: libraries, certificates.
    _ = try openOnce()
    let before = OpenDescriptors.now
    var identities: [String?] = []
    for _ in 1...3 { identities.append(try openOnce().identity) }
    if subject.ownsProcess, let leaked = OpenDescriptors.leaked(since: before) {
      throw CheckFailure("after close it still has open: \(leaked)")
    }
    if subject.place == .source, Set(identities).count > 1 {
      throw CheckFailure("the same source was said to be \(identities.map { $0 ?? "nothing" }.joined(separator: ", "))")
    }
    return CheckPassed(4, identities.last.flatMap { $0 } == nil && !subject.place.writes ? "it has no identity" : nil)
  }

  private func openOnce() throws -> DeviceInfo {
    try withNeighbours { scene, neighbours in
      let info = try subject.opened(scene, neighbours) { stack in
        let device = stack.devices.last
        let before = device?.info
        try device?.refreshInfo()
        guard let now = device?.info, before?.size == now.size, before?.identity == now.identity else {
          throw CheckFailure("info answers differently the second time")
        }
        return now
      }
      if subject.place.writes { try subject.discard(scene) }
      return info
    }
  }

  private func withNeighbours<R>(
    _ body: (CheckScene, CheckSubject.Neighbours) throws -> R
  ) throws -> R {
    try subject.inScene { scene in
      let neighbours = try subject.neighbours()
      defer { neighbours.release() }
      return try body(scene, neighbours)
    }
  }

  /// Each parameter in turn is what nobody expects. Whatever comes of it, it comes as an error or works, and nothing is
  /// left open.
  func wrongParameters() throws -> CheckPassed {
    guard let declared = stage.params else { throw CheckSkipped("it takes any parameters") }
    guard !declared.isEmpty else { throw CheckSkipped("it takes none") }
    let odd: [JSONValue] = [
      .string(""), .string(String(repeating: "x", count: 100_000)), .string("../../..\u{1B}[2J\n%s%n\u{0}"), .int(-1),
      .int(.max), .double(0.5), .bool(true), .array([]), .object(["": .null]),
    ]
    let before = OpenDescriptors.now
    var (cases, accepted) = (0, 0)
    for name in declared.keys.sorted() {
      for value in odd {
        try withNeighbours { scene, neighbours in
          var params = try scene.params()
          params[name] = value
          cases += 1
          do {
            if subject.place == .task {
              let outcome = try subject.attempt(scene, neighbours, params: params)
              if outcome.result != nil { accepted += 1 }
            } else {
              try subject.opened(scene, neighbours, params: params) { _ in accepted += 1 }
              if subject.place.writes { try? subject.discard(scene) }
            }
          } catch let fault as Fault {
            guard fault.code != .pluginMisbehaved else { throw CheckFailure("\(name): \(fault.message)") }
          }
        }
      }
    }
    if subject.ownsProcess, let leaked = OpenDescriptors.leaked(since: before) {
      throw CheckFailure("after openings that failed it still has open: \(leaked)")
    }
    return CheckPassed(cases)
  }

  // MARK: Reading

  /// All bytes of a device, read in order in pieces of its own liking.
  static func content(of device: any BlockDevice) throws -> [UInt8] {
    let info = device.info
    if let size = info.size, size > UInt64(ScratchStage.mostBytes) {
      throw CheckFailure(
        "the device has \(size) bytes; give the check one of at most \(ScratchStage.mostBytes), which it reads often")
    }
    let unit = max(info.blockMin, min(info.blockPreferred == 0 ? 1 << 20 : info.blockPreferred, 8 << 20))
    let step = info.blockMax > 0 ? min(unit, info.blockMax) : unit
    var bytes: [UInt8] = []
    let buffer = GuardedBuffer(Int(step))
    while info.size.map({ UInt64(bytes.count) < $0 }) ?? true {
      let length = Int(min(step, (info.size ?? .max) - UInt64(bytes.count)))
      let count = try buffer.read(device, length, at: UInt64(bytes.count))
      bytes += buffer.bytes[..<count]
      if count < length { break }
      guard bytes.count <= ScratchStage.mostBytes else { throw CheckFailure("the device does not end") }
    }
    return bytes
  }

  func reads() throws -> CheckPassed {
    try withNeighbours { scene, neighbours in
      let whole = try subject.opened(scene, neighbours) { try Self.content(of: $0.top) }
      return try subject.inScene { again in
        try subject.opened(again, neighbours) { stack in
          guard !stack.top.info.isSequential else {
            let again = try Self.content(of: stack.top)
            guard again.withUnsafeBytes({ one in whole.withUnsafeBytes { ScratchContent.isSame(one, $0) } }) else {
              throw CheckFailure("read twice, it has other bytes")
            }
            return CheckPassed(2, "in order only")
          }
          var random = Steps(seed: 11)
          var cases = 0
          for _ in 0..<(8 * subject.cases) {
            guard let range = random.range(in: stack.top.info, of: whole.count) else { break }
            try Self.compare(stack.top, whole, range)
            cases += 1
          }
          return CheckPassed(cases + 1)
        }
      }
    }
  }

  private static func compare(_ device: any BlockDevice, _ whole: [UInt8], _ range: Range<Int>) throws {
    let buffer = GuardedBuffer(range.count)
    _ = try buffer.read(device, range.count, at: UInt64(range.lowerBound))
    let isSame = whole[range].withUnsafeBytes { ScratchContent.isSame(UnsafeRawBufferPointer(buffer.bytes), $0) }
    guard isSame else {
      throw CheckFailure("\(range.count) bytes at \(range.lowerBound) are others than in one read of the whole")
    }
  }

  func readsAtOnce() throws -> CheckPassed {
    guard stage.isParallel else { throw CheckSkipped("it is serial") }
    return try withNeighbours { scene, neighbours in
      let whole = try subject.opened(scene, neighbours) { try Self.content(of: $0.top) }
      return try subject.inScene { again in
        try subject.opened(again, neighbours) { stack in
          let device = stack.top
          guard !device.info.isSequential else { throw CheckSkipped("in order only") }
          let failure = Mutex<(any Error)?>(nil)
          let group = ThreadGroup()
          let cases = subject.cases
          for number in 0..<8 {
            try group.start("check-\(number)") {
              var random = Steps(seed: UInt64(100 + number))
              do {
                for _ in 0..<(2 * cases) {
                  guard let range = random.range(in: device.info, of: whole.count) else { break }
                  try Self.compare(device, whole, range)
                }
              } catch {
                failure.withLock { $0 = $0 ?? error }
              }
            }
          }
          group.join()
          if let failed = failure.withLock({ $0 }) { throw failed }
          return CheckPassed(8 * 2 * cases)
        }
      }
    }
  }

  func extents() throws -> CheckPassed {
    guard stage.device.extents != nil else { throw CheckSkipped("it describes none") }
    return try withNeighbours { scene, neighbours in
      let whole = try subject.opened(scene, neighbours) { try Self.content(of: $0.top) }
      return try subject.inScene { again in
        try subject.opened(again, neighbours) { stack in
          let device = stack.top
          guard let size = device.info.size else { throw CheckSkipped("its size is not known") }
          var cases = 0
          for capacity in [1, 2, 3, 128] {
            try walk(device, whole, 0..<size, capacity: capacity)
            cases += 1
          }
          var random = Steps(seed: 12)
          for _ in 0..<(4 * subject.cases) {
            guard let range = random.range(in: device.info, of: whole.count) else { break }
            try walk(device, whole, UInt64(range.lowerBound)..<UInt64(range.upperBound), capacity: 4)
            cases += 1
          }
          return CheckPassed(cases)
        }
      }
    }
  }

  /// The runner itself checks order, gaps and ends; here what is called zero must be.
  private func walk(
    _ device: any BlockDevice, _ whole: [UInt8], _ range: Range<UInt64>, capacity: Int
  ) throws {
    let room = UnsafeMutableBufferPointer<drover_extent>.allocate(capacity: capacity)
    defer { room.deallocate() }
    var at = range.lowerBound
    while at < range.upperBound {
      let count = try device.extents(offset: at, length: range.upperBound - at, into: room)
      for extent in room[..<count] {
        let bytes = whole[Int(extent.offset)..<Int(extent.offset + extent.length)]
        if extent.type == DROVER_EXTENT_ZERO, !bytes.withUnsafeBytes(Zeros.fill) {
          throw CheckFailure("\(extent.length) bytes at \(extent.offset) are said to be zero, and are not")
        }
        at = extent.offset + extent.length
      }
    }
  }

  // MARK: Writing

  func writesInAnyOrder() throws -> CheckPassed {
    try withNeighbours { scene, neighbours in
      let content = neighbours.source.content?.bytes ?? []
      let cases = try subject.opened(scene, neighbours) { stack in
        let device = stack.top
        guard !device.info.isSequential else { throw CheckSkipped("in order only") }
        let info = device.info
        let block = Int(max(info.blockPreferred == 0 ? 256 << 10 : info.blockPreferred, info.blockMin))
        var offsets = Array(stride(from: 0, to: content.count, by: block))
        var random = Steps(seed: 13)
        random.shuffle(&offsets)
        let queue = Mutex(offsets)
        let failure = Mutex<(any Error)?>(nil)
        let group = ThreadGroup()
        for number in 0..<(stage.isParallel ? 4 : 1) {
          try group.start("check-\(number)") {
            do {
              while let offset = queue.withLock({ $0.popLast() }) {
                let bytes = content[offset..<min(offset + block, content.count)]
                try Self.put(bytes, at: offset, on: device)
              }
            } catch {
              failure.withLock { $0 = $0 ?? error }
            }
          }
        }
        group.join()
        if let failed = failure.withLock({ $0 }) { throw failed }
        try device.flush()
        if device.calls.contains(.read), subject.place == .sink {
          // It may have the call and yet not offer it.
          do {
            try readBack(device, content, block)
            if device.calls.contains(.trim) { try trims(device, content, block) }
          } catch let fault as Fault where fault.code == .notSupported {}
        }
        return offsets.count
      }
      try subject.discard(scene)
      try subject.discard(scene)
      let left = try scene.leftovers(but: subject.mayLeave)
      guard left.isEmpty else {
        throw CheckFailure("after discard \(left.prefix(4).joined(separator: ", ")) was left")
      }
      return CheckPassed(cases)
    }
  }

  private static func put(_ bytes: ArraySlice<UInt8>, at offset: Int, on device: any BlockDevice) throws {
    if bytes.withUnsafeBytes(Zeros.fill) {
      try device.zero(offset: UInt64(offset), length: UInt64(bytes.count))
    } else {
      try bytes.withUnsafeBytes { buffer in
        let limit = device.info.blockMax > 0 ? Int(device.info.blockMax) : buffer.count
        var done = 0
        while done < buffer.count {
          let end = min(done + limit, buffer.count)
          try device.write(UnsafeRawBufferPointer(rebasing: buffer[done..<end]), at: UInt64(offset + done))
          done = end
        }
      }
    }
  }

  /// A trim takes nothing but what it names.
  private func trims(_ device: any BlockDevice, _ content: [UInt8], _ block: Int) throws {
    guard content.count >= 3 * block else { return }
    try device.trim(offset: UInt64(block), length: UInt64(block))
    try readBack(device, content, block, but: block)
  }

  /// - Parameter but: The block there may be anything.
  private func readBack(_ device: any BlockDevice, _ content: [UInt8], _ block: Int, but left: Int? = nil) throws {
    for offset in stride(from: 0, to: content.count, by: block) where offset != left {
      try Self.compare(device, content, offset..<min(offset + block, content.count))
    }
  }
}
