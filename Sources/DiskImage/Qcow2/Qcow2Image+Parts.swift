import LinuxSystem

/// A part of the disk that lies in one cluster, or is all zero.
struct Qcow2Part {
  var offset: UInt64
  var length: UInt64
  var content: Content

  enum Content {
    case zero
    /// All of it lies in the file, from here on.
    case data(UInt64)
    /// The cluster, and where in its unpacked bytes the part begins.
    case compressed(CompressedCluster, from: Int)
  }
}

extension Qcow2Image {
  /// Calls `body` with each part of `[offset, offset + length)` in order, until it answers false. Every part was checked
  /// to lie within the file.
  func forEachPart(offset: UInt64, length: UInt64, _ body: (Qcow2Part) throws -> Bool) throws {
    precondition(offset <= size && length <= size - offset, "bytes beyond the disk's end")
    let end = offset + length
    let perTable = header.bytesPerTable
    var at = offset
    while at < end {
      let index = at / perTable
      let stop = min(end, (index + 1).multipliedReportingOverflow(by: perTable).overflow ? end : (index + 1) * perTable)
      if let table = try table(Int(index)) {
        guard try forEachPart(of: table, at..<stop, body) else { return }
      } else {
        guard try body(Qcow2Part(offset: at, length: stop - at, content: .zero)) else { return }
      }
      at = stop
    }
  }

  /// False: `body` wants no more.
  private func forEachPart(
    of table: Qcow2Table, _ range: Range<UInt64>, _ body: (Qcow2Part) throws -> Bool
  ) throws -> Bool {
    let inCluster = header.clusterSize - 1
    var at = range.lowerBound
    while at < range.upperBound {
      let cluster = at & ~inCluster
      let length = min(range.upperBound - at, cluster + header.clusterSize - at)
      let index = Int((cluster / header.clusterSize) % header.entriesPerTable)
      switch try table.entry(index, header, path: file.path) {
      case .zero:
        guard try body(Qcow2Part(offset: at, length: length, content: .zero)) else { return false }
      case .data(let host):
        guard try body(data(at, length, host + (at - cluster))) else { return false }
      case .compressed(let stored):
        guard stored.offset >= header.clusterSize, stored.offset < fileSize else {
          throw Qcow2Error(
            file.path,
            "the compressed cluster at \(cluster) of the disk can't lie at \(stored.offset) of a file of \(fileSize) bytes",
            hint: stored.offset < fileSize ? "" : cutOffHint)
        }
        let part = Qcow2Part(offset: at, length: length, content: .compressed(stored, from: Int(at - cluster)))
        guard try body(part) else { return false }
      case .subclusters(let host, let bits):
        guard try forEachSubcluster(cluster, host, bits, at..<(at + length), body) else { return false }
      }
      at += length
    }
    return true
  }

  private func forEachSubcluster(
    _ cluster: UInt64, _ host: UInt64, _ bits: UInt32, _ range: Range<UInt64>, _ body: (Qcow2Part) throws -> Bool
  ) throws -> Bool {
    let unit = header.clusterSize / 32
    var at = range.lowerBound
    while at < range.upperBound {
      let number = (at - cluster) / unit
      let length = min(range.upperBound - at, cluster + (number + 1) * unit - at)
      let part =
        bits >> number & 1 == 1
        ? try data(at, length, host + (at - cluster)) : Qcow2Part(offset: at, length: length, content: .zero)
      guard try body(part) else { return false }
      at += length
    }
    return true
  }

  private func data(_ offset: UInt64, _ length: UInt64, _ host: UInt64) throws(Qcow2Error) -> Qcow2Part {
    guard host + length <= fileSize else {
      throw Qcow2Error(
        file.path,
        "\(length) bytes at \(offset) of the disk should lie at \(host) of the file, which has only \(fileSize) bytes",
        hint: cutOffHint)
    }
    return Qcow2Part(offset: offset, length: length, content: .data(host))
  }

  /// The same as runs of data and zeros, neighbours not joined; holes of the file count as zeros.
  func forEachRun(offset: UInt64, length: UInt64, _ body: (FileExtent) throws -> Bool) throws {
    var holes = HoleFinder(file: file, fileSize: fileSize)
    try forEachPart(offset: offset, length: length) { part in
      guard hasHoles, case .data(let host) = part.content else {
        let isZero = if case .zero = part.content { true } else { false }
        return try body(FileExtent(offset: part.offset, length: part.length, isData: !isZero))
      }
      var done: UInt64 = 0
      while done < part.length {
        let run = try holes.run(at: host + done)
        let length = min(run.length, part.length - done)
        guard try body(FileExtent(offset: part.offset + done, length: length, isData: run.isData)) else { return false }
        done += length
      }
      return true
    }
  }
}

/// Tells a file's data from its holes, and asks the kernel once for each.
private struct HoleFinder {
  let file: any ImageBytes
  let fileSize: UInt64
  private var known: FileExtent?

  init(file: any ImageBytes, fileSize: UInt64) {
    self.file = file
    self.fileSize = fileSize
  }

  /// The run from `offset` on, at least one byte.
  mutating func run(at offset: UInt64) throws -> FileExtent {
    if let known, known.offset <= offset, offset < known.offset + known.length {
      return FileExtent(offset: offset, length: known.offset + known.length - offset, isData: known.isData)
    }
    let run =
      try file.extents(offset: offset, length: fileSize - offset, limit: 1).first
      ?? FileExtent(offset: offset, length: fileSize - offset, isData: true)
    known = run
    return run
  }
}
