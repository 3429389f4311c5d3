import DroverModel
import LinuxSystem

/// What admitted jobs may still write, by file system, so that two of them are never promised the same bytes.
struct SpaceLedger: Sendable {
  /// Free space that is never promised.
  var reserveBytes: Int64
  private var promises: [String: [Promise]] = [:]

  private struct Promise {
    var device: UInt64
    var bytes: Int64
  }

  init(reserveBytes: Int64) { self.reserveBytes = reserveBytes }

  /// A file system, as it is now.
  struct Room: Sendable, Hashable {
    var device: UInt64
    var freeBytes: Int64
  }

  /// Promises what the plan needs, or says why not: `no-space`, never where the file system is too small for it,
  /// transient where other jobs' promises are what is in the way.
  /// - Parameters:
  ///   - room: Of a folder that is there.
  ///   - unwritten: What a job will write at most from now on, where that is known.
  mutating func admit(
    _ job: String, _ plan: [JobPlan.Space], room: (String) throws(Fault) -> Room,
    unwritten: (String) -> Int64? = { _ in nil }
  ) throws(Fault) {
    var wanted: [UInt64: (bytes: Int64, room: Room, path: String)] = [:]
    for space in plan where space.bytes > 0 {
      let found = try room(space.path)
      wanted[found.device, default: (0, found, space.path)].bytes += space.bytes
    }
    for (device, need) in wanted.sorted(by: { $0.key < $1.key }) {
      let usable = max(0, need.room.freeBytes - reserveBytes)
      let promised = promised(on: device, except: job, unwritten: unwritten)
      if need.bytes <= usable - promised { continue }
      let numbers =
        "\(need.bytes) bytes are needed at \(need.path); \(need.room.freeBytes) are free, of which \(reserveBytes) are kept"
      if need.bytes > usable { throw Fault(.noSpace, numbers, hint: "free some space, then drover job retry \(job)") }
      throw Fault(
        .noSpace, numbers + " and \(promised) are promised to running jobs", hint: "it goes on when they are done",
        retry: .transient)
    }
    promises[job] = wanted.map { Promise(device: $0.key, bytes: $0.value.bytes) }
  }

  mutating func release(_ job: String) { promises[job] = nil }

  func promised(on device: UInt64, except job: String? = nil, unwritten: (String) -> Int64?) -> Int64 {
    promises.filter { $0.key != job }.reduce(0) { sum, entry in
      let bytes = entry.value.filter { $0.device == device }.reduce(0) { $0 + $1.bytes }
      return sum + max(0, min(bytes, unwritten(entry.key) ?? bytes))
    }
  }

  /// Asks the system. The path need not be there; what is above it counts then.
  static func room(at path: String) throws(Fault) -> Room {
    do throws(SystemError) {
      var folder = path
      var status = try FileStatus.of(folder)
      while status == nil, folder != "/" {
        folder = Folder.parent(of: folder)
        status = try FileStatus.of(folder)
      }
      return Room(device: status?.device ?? 0, freeBytes: Int64(clamping: try Folder.freeBytes(folder)))
    } catch {
      throw Fault(.io, "could not ask for the free space at \(path): \(error.answer)")
    }
  }
}
