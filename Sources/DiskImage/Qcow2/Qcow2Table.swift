import LinuxSystem

/// A second table: for each cluster of a part of the disk, where its bytes are. Source: qcow2.rst, "Cluster mapping" and
/// "Extended L2 Entries".
final class Qcow2Table: Sendable {
  /// What a cluster's entry says.
  enum Entry: Equatable {
    case zero
    /// The bytes lie in the file at this offset.
    case data(UInt64)
    case compressed(CompressedCluster)
    /// Each of 32 subclusters is zero, or data at its place in the cluster at `host`. Bit n of `data`: subcluster n is.
    case subclusters(host: UInt64, data: UInt32)
  }

  let offset: UInt64
  /// As they lie in the file, 2 words each with subclusters; empty where the table is a hole of the file.
  private let words: [UInt64]

  init(_ file: any ImageBytes, offset: UInt64, header: Qcow2Header, mayBeHole: Bool) throws {
    self.offset = offset
    if mayBeHole, let first = try file.extents(offset: offset, length: header.clusterSize, limit: 1).first,
      !first.isData, first.length == header.clusterSize
    {
      words = []
      return
    }
    words = try readBigEndian(file, count: Int(header.clusterSize / 8), at: offset)
  }

  /// What the `index`th entry says; whatever stands there, nothing overflows.
  func entry(_ index: Int, _ header: Qcow2Header, path: String) throws(Qcow2Error) -> Entry {
    guard !words.isEmpty else { return .zero }
    let word = words[header.hasExtendedL2 ? 2 * index : index]
    if word & 1 << 62 != 0 { return .compressed(CompressedCluster(word, clusterBits: header.clusterBits)) }
    let host = word & Qcow2Tables.offsetMask
    guard host % header.clusterSize == 0 else {
      throw Qcow2Error(
        path, "entry \(index) of the L2 table at \(offset) points to \(host), which is not where a cluster begins")
    }
    if header.hasExtendedL2 { return try subclusters(index, host, words[2 * index + 1], path) }
    if word & 1 != 0 {
      guard header.version >= 3 else {
        throw Qcow2Error(path, "entry \(index) of the L2 table at \(offset) is a zero cluster, which version 2 has not")
      }
      return .zero
    }
    return host == 0 ? .zero : .data(host)
  }

  private func subclusters(
    _ index: Int, _ host: UInt64, _ bitmap: UInt64, _ path: String
  ) throws(Qcow2Error) -> Entry {
    let data = UInt32(truncatingIfNeeded: bitmap)
    let zero = UInt32(truncatingIfNeeded: bitmap >> 32)
    guard data & zero == 0 else {
      throw Qcow2Error(
        path, "entry \(index) of the L2 table at \(offset) has subclusters that are both zero and data")
    }
    guard host != 0 || data == 0 else {
      throw Qcow2Error(path, "entry \(index) of the L2 table at \(offset) has subclusters with data, but no cluster")
    }
    switch data {
    case 0: return .zero
    case .max: return .data(host)
    default: return .subclusters(host: host, data: data)
    }
  }
}

/// Where a compressed cluster's bytes lie.
struct CompressedCluster: Equatable {
  var offset: UInt64
  /// What may belong to it: up to the end of its last sector of 512 bytes, and perhaps beyond the file's end.
  var length: Int

  /// Source: qcow2.rst, "Compressed Clusters Descriptor".
  init(_ entry: UInt64, clusterBits: Int) {
    let offsetBits = 62 - UInt64(clusterBits - 8)
    offset = entry & (1 << offsetBits - 1)
    let sectors = (entry & (1 << 62 - 1)) >> offsetBits + 1
    length = Int(sectors * 512 - offset % 512)
  }
}
