import Compression
import LinuxSystem
import Synchronization

/// Bytes of a compressed cluster that are wanted, and where to.
struct CompressedPart {
  var cluster: CompressedCluster
  /// Where in the unpacked cluster they begin.
  var from: Int
  var target: UnsafeMutableRawBufferPointer
}

/// Reads and unpacks compressed clusters, for many threads at once.
final class ClusterUnpacking: Sendable {
  private let method: ClusterMethod
  private let file: any ImageBytes
  private let fileSize: UInt64
  private let clusterSize: Int
  /// Not in use; as many as there were threads at once.
  private let idle = Mutex<[UnpackingSpace]>([])
  /// Unpacked clusters of which only a part was asked for, by their offsets in the file.
  private let recent: Mutex<RecentValues<(length: Int, bytes: [UInt8])>>

  init(_ method: ClusterMethod, file: any ImageBytes, fileSize: UInt64, clusterSize: Int) {
    self.method = method
    self.file = file
    self.fileSize = fileSize
    self.clusterSize = clusterSize
    recent = Mutex(RecentValues(capacity: RecentValues<[UInt8]>.capacity(of: clusterSize)))
  }

  /// All that lies between the clusters is read too, in one piece: they must be near each other, and all of them begin
  /// before the file's end.
  func unpack(_ parts: [CompressedPart]) throws {
    if parts.count == 1, try copyRecent(parts[0]) { return }
    let begin = parts.map(\.cluster.offset).min() ?? 0
    let end = min(parts.map(\.cluster.end).max() ?? 0, fileSize)
    let space = idle.withLock { $0.popLast() } ?? UnpackingSpace(method)
    defer { idle.withLock { $0.append(space) } }
    let stored = space.stored(Int(end - begin))
    guard try file.read(into: stored, at: begin) == stored.count else {
      throw Qcow2Error(file.path, "it ends before byte \(end) now")
    }
    for part in parts {
      let first = Int(part.cluster.offset - begin)
      let last = min(first + part.cluster.length, stored.count)
      try unpack(UnsafeRawBufferPointer(rebasing: stored[first..<last]), part, space)
    }
  }

  private func unpack(_ stored: UnsafeRawBufferPointer, _ part: CompressedPart, _ space: UnpackingSpace) throws {
    do {
      if part.target.count == clusterSize { return try space.codec.unpack(stored, into: part.target) }
      if try copyRecent(part) { return }
      let cluster = try [UInt8](unsafeUninitializedCapacity: clusterSize) { bytes, filled in
        try space.codec.unpack(stored, into: UnsafeMutableRawBufferPointer(bytes))
        filled = clusterSize
      }
      recent.withLock { $0.keep((part.cluster.length, cluster), of: part.cluster.offset) }
      copy(cluster, part)
    } catch let error as CompressionError {
      throw Qcow2Error(
        file.path, "the compressed cluster at \(part.cluster.offset) can't be unpacked (\(error))",
        hint: "the file is damaged; get it again")
    }
  }

  private func copyRecent(_ part: CompressedPart) throws -> Bool {
    guard part.target.count < clusterSize,
      let known = recent.withLock({ $0.value(of: part.cluster.offset) }), known.length == part.cluster.length
    else { return false }
    copy(known.bytes, part)
    return true
  }

  private func copy(_ cluster: [UInt8], _ part: CompressedPart) {
    cluster.withUnsafeBytes { bytes in
      part.target.copyMemory(
        from: UnsafeRawBufferPointer(rebasing: bytes[part.from..<(part.from + part.target.count)]))
    }
  }
}

extension CompressedCluster {
  var end: UInt64 { offset + UInt64(length) }
}

/// What one thread needs to unpack clusters.
private final class UnpackingSpace: @unchecked Sendable {
  // Sendable: the pool hands it to one thread at a time.
  let codec: ClusterCodec
  private var buffer = UnsafeMutableRawBufferPointer(start: nil, count: 0)

  init(_ method: ClusterMethod) { codec = ClusterCodec(method) }
  deinit { buffer.deallocate() }

  /// Room for `length` bytes, until the next call.
  func stored(_ length: Int) -> UnsafeMutableRawBufferPointer {
    if buffer.count < length {
      buffer.deallocate()
      buffer = .allocate(byteCount: length, alignment: 4096)
    }
    return UnsafeMutableRawBufferPointer(rebasing: buffer[..<length])
  }
}
