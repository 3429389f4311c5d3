import LinuxSystem

/// One read of the disk: neighbours in the file are read at once.
struct Qcow2Reading {
  private let file: any ImageBytes
  private let unpacking: ClusterUnpacking
  private let buffer: UnsafeMutableRawBufferPointer
  /// Where on the disk the buffer begins.
  private let start: UInt64
  /// Data that is still to be read: where it lies in the buffer and in the file.
  private var waiting: (at: Int, length: Int, host: UInt64)?
  private var compressed: [CompressedPart] = []

  /// Compressed bytes that are read at once, unless one cluster has more.
  private static let batch: UInt64 = 512 << 10

  init(file: any ImageBytes, unpacking: ClusterUnpacking, buffer: UnsafeMutableRawBufferPointer, offset: UInt64) {
    self.file = file
    self.unpacking = unpacking
    self.buffer = buffer
    start = offset
  }

  /// Parts come in order.
  mutating func add(_ part: Qcow2Part) throws {
    let at = Int(part.offset - start)
    let length = Int(part.length)
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[at..<(at + length)])
    switch part.content {
    case .zero: target.initializeMemory(as: UInt8.self, repeating: 0)
    case .data(let host):
      if let run = waiting, run.at + run.length == at, run.host + UInt64(run.length) == host {
        waiting = (run.at, run.length + length, run.host)
      } else {
        try readData()
        waiting = (at, length, host)
      }
    case .compressed(let cluster, let from):
      if let first = compressed.first,
        cluster.offset < first.cluster.offset || cluster.end > first.cluster.offset + Self.batch
      {
        try unpack()
      }
      compressed.append(CompressedPart(cluster: cluster, from: from, target: target))
    }
  }

  mutating func finish() throws {
    try readData()
    try unpack()
  }

  private mutating func readData() throws {
    guard let run = waiting else { return }
    waiting = nil
    let target = UnsafeMutableRawBufferPointer(rebasing: buffer[run.at..<(run.at + run.length)])
    let count = try file.read(into: target, at: run.host)
    guard count == run.length else { throw Qcow2Error(file.path, "it ends at byte \(run.host + UInt64(count)) now") }
  }

  private mutating func unpack() throws {
    guard !compressed.isEmpty else { return }
    try unpacking.unpack(compressed)
    compressed.removeAll(keepingCapacity: true)
  }
}
