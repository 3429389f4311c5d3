import DroverModel

/// Open devices, each over the one before: a source or a sink, and the filters over it.
final class DeviceStack {
  private(set) var devices: [StageDevice] = []
  /// What the pump reads or writes.
  private(set) var top: any BlockDevice
  /// There where filters write an image file.
  private(set) var watch: WriteWatch?

  var lowest: StageDevice { devices[0] }
  var hasFilters: Bool { devices.count > 1 }

  /// - Parameters:
  ///   - tokens: One for each stage, in the same order, or none.
  ///   - source: For the writing side: top of the reading side.
  static func open(
    _ stages: [OrderedStage], writable: Bool, order: OrderContext, job: JobContext, tokens: [[UInt8]] = [],
    source: (any BlockDevice)? = nil
  ) throws -> DeviceStack {
    func device(_ index: Int, over lower: (any BlockDevice)?) throws -> StageDevice {
      let stage = stages[index]
      let name = stage.loaded.name
      try job.interruption.check()
      return try StageDevice.open(
        stage.loaded,
        OpenArguments(
          stage.spec, writable: writable, order: order, secrets: stage.secrets,
          checkpoint: tokens.isEmpty ? nil : tokens[index],
          lower: lower.map { ExportedDevice($0, for: name, writable: writable, activity: job.activity) },
          source: source.map { ExportedDevice($0, for: name, writable: false, activity: job.activity) }),
        job)
    }
    let stack = DeviceStack(try device(0, over: nil))
    if writable, stages.count > 1, stack.lowest.info.isImageFile {
      let watch = WriteWatch(stack.lowest)
      stack.watch = watch
      stack.top = watch
    }
    do {
      for index in stages.indices.dropFirst() {
        let next = try device(index, over: stack.top)
        stack.devices.append(next)
        stack.top = next
      }
    } catch {
      stack.close()
      throw error
    }
    return stack
  }

  /// For an export: each device may be asked for any range by the one above, and what is written is not hashed.
  static func serving(
    _ stages: [OrderedStage], writable: Bool, order: OrderContext, job: JobContext
  ) throws -> DeviceStack {
    func device(_ stage: OrderedStage, over lower: (any BlockDevice)?) throws -> StageDevice {
      try StageDevice.open(
        stage.loaded,
        OpenArguments(
          stage.spec, writable: writable, order: order, secrets: stage.secrets,
          lower: try lower.map {
            ExportedDevice(
              try AnyRangeDevice.over($0), for: stage.loaded.name, writable: writable, activity: job.activity)
          }),
        job)
    }
    let stack = DeviceStack(try device(stages[0], over: nil))
    do {
      for stage in stages.dropFirst() {
        let next = try device(stage, over: stack.top)
        stack.devices.append(next)
        stack.top = next
      }
    } catch {
      stack.close()
      throw error
    }
    return stack
  }

  /// Asks the topmost stage that knows the command.
  /// - Throws: Fault `not-supported` where none does.
  func control(_ verb: String, json: String) throws -> String {
    for device in devices.reversed() {
      do {
        if let answer = try device.control(verb, json: json) { return answer }
      } catch let fault as Fault where fault.code == .notSupported {
        continue
      }
    }
    throw Fault(.notSupported, "no stage of this export knows the command `\(verb)`")
  }

  private init(_ lowest: StageDevice) {
    devices = [lowest]
    top = lowest
  }

  /// Topmost first; again does nothing.
  func close() { devices.reversed().forEach { $0.close() } }

  var identities: [String] { devices.compactMap { $0.info.identity } }
}
