import DiskImage
import LinuxSystem

/// A snapshot of a volume, or its head while nobody writes to it, read as a disk. From many threads at once.
///
/// Holds `volume.layers.lock` shared, so that nobody merges or removes the layers; of the head also `volume.lock` shared.
/// Blocks where a system call does. Each read asks each layer for its extents: the newest that has one decides.
public final class VolumeView: Sendable {
  /// Bytes.
  public let size: UInt64
  public let record: VolumeRecord
  /// Changes when the content can have changed.
  public let identity: String
  /// Newest first.
  private let layers: [LayerFile]
  /// How many of `layers` count as the view's own.
  private let ownCount: Int
  private let image: BackingImage?
  private let locks: [OpenFile]

  /// A run of the view.
  public struct Extent: Sendable, Hashable {
    public var offset: UInt64
    public var length: UInt64
    public var kind: Kind
    /// Absent: no layer that counts has anything there.
    public enum Kind: Sendable { case data, zero, absent }
  }

  /// - Parameters:
  ///   - snapshot: its name; nil for the head.
  ///   - base: an ancestor of the snapshot; only what lies above it counts as the view's own. Throws `baseMissing` where it
  ///     is none.
  ///   - image: path of the backing image's file, instead of what the record says.
  public static func open(
    _ folder: VolumeFolder, snapshot: String? = nil, since base: String? = nil, image: String? = nil
  ) throws -> VolumeView {
    guard try FileStatus.of(folder(LayerName.record)) != nil else {
      throw VolumeError(.notFound, "there is no volume in \(folder.path)")
    }
    var locks = [try lock(folder, LayerName.layersLock)]
    if snapshot == nil { locks.append(try lock(folder, LayerName.lock)) }
    let tree = try VolumeTree.read(folder)
    guard !tree.volume.isRebuilding else {
      throw VolumeError(.conflict, "the volume in \(folder.path) is an incomplete copy", hint: "restore it again")
    }
    var names: [String]
    if let snapshot {
      let layer = LayerName.ofSnapshot(snapshot)
      guard let record = tree.snapshots[layer], !record.isRemoved else {
        throw VolumeError(.notFound, "the volume in \(folder.path) has no snapshot \(snapshot)")
      }
      names = try tree.chain(from: layer)
    } else {
      names = [tree.volume.head] + (try tree.chain(from: tree.volume.parent))
    }
    var ownCount = names.count
    if let base {
      guard let index = names.firstIndex(of: LayerName.ofSnapshot(base)) else {
        throw VolumeError(
          .baseMissing, "\(snapshot ?? "the head") does not come from a snapshot \(base)",
          hint: "compare everything instead")
      }
      ownCount = index
    }
    let path = image ?? tree.volume.backingFilePath
    return try VolumeView(
      tree.volume, names.map { try folder.openLayer($0) }, ownCount, path.isEmpty ? nil : BackingImage(path), locks)
  }

  private init(
    _ record: VolumeRecord, _ layers: [LayerFile], _ ownCount: Int, _ image: BackingImage?, _ locks: [OpenFile]
  ) throws {
    self.record = record
    self.layers = layers
    self.ownCount = ownCount
    self.image = image
    self.locks = locks
    size = record.size
    // A snapshot's ctime changes when a name of its file goes, its content does not.
    var text = image?.identity ?? ""
    for layer in layers {
      let status = try layer.file.status()
      text += "|\(status.inode)-\(status.size)-\(status.modifiedNanoseconds)"
    }
    identity = text
  }

  private static func lock(_ folder: VolumeFolder, _ name: String) throws -> OpenFile {
    let file = try OpenFile.open(folder(name), .create(permissions: 0o600), followLinks: false)
    guard try file.lockSharedSoon() else {
      throw VolumeError(
        .locked, "the volume in \(folder.path) is in use: \(name) is locked",
        hint: "it is attached, or its layers are being merged", retry: .transient)
    }
    return file
  }

  /// Throws `sourceChanged` where the backing image is not what was opened any more.
  public func requireUnchanged() throws { try image?.requireUnchanged() }

  /// Fills the buffer with the volume as a guest sees it, image included. All of it must lie in the volume.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    guard offset <= size, UInt64(buffer.count) <= size - offset else {
      throw VolumeError(.invalid, "a read of \(buffer.count) bytes at \(offset) of a volume of \(size)")
    }
    try read(into: buffer, at: offset, from: 0)
  }

  /// Reads what the layers from `index` down have.
  private func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64, from index: Int) throws {
    guard !buffer.isEmpty else { return }
    func part(_ from: UInt64, _ to: UInt64) -> UnsafeMutableRawBufferPointer {
      UnsafeMutableRawBufferPointer(rebasing: buffer[Int(from - offset)..<Int(to - offset)])
    }
    let end = offset + UInt64(buffer.count)
    guard index < layers.count else {
      if let image { return try image.read(into: buffer, at: offset) }
      buffer.initializeMemory(as: UInt8.self, repeating: 0)
      return
    }
    // In whole sectors: a layer has a sector or has it not.
    let start = offset / Volume.sectorSize * Volume.sectorSize
    let stop = (end + Volume.sectorSize - 1) / Volume.sectorSize * Volume.sectorSize
    var at = offset
    try layers[index].forEachRun(offset: start, length: stop - start) { run in
      let (from, to) = (max(run.offset, offset), min(run.end, end))
      guard from < to else { return }
      if at < from { try read(into: part(at, from), at: at, from: index + 1) }
      try layers[index].read(into: part(from, to), at: from)
      at = to
    }
    if at < end { try read(into: part(at, end), at: at, from: index + 1) }
  }

  /// What the view's own layers have, in order and without gaps, perhaps not to the end of the range: data or absent.
  public func ownExtents(offset: UInt64, length: UInt64, limit: Int = 256) throws -> [Extent] {
    try extents(of: layers[..<ownCount], offset, length, limit)
  }

  /// The disk as a guest sees it, in order and without gaps, perhaps not to the end of the range: data or zero.
  public func mergedExtents(offset: UInt64, length: UInt64, limit: Int = 256) throws -> [Extent] {
    var merged: [Extent] = []
    for extent in try extents(of: layers[...], offset, length, limit) {
      guard extent.kind == .absent else {
        merged.append(extent)
        continue
      }
      guard let image else {
        merged.append(Extent(offset: extent.offset, length: extent.length, kind: .zero))
        continue
      }
      let below = try image.extents(offset: extent.offset, length: extent.length, limit: limit)
      merged += below.map { Extent(offset: $0.offset, length: $0.length, kind: $0.isData ? .data : .zero) }
      // The image did not tell all of it: whoever wants the rest asks again.
      guard let last = below.last, last.offset + last.length == extent.offset + extent.length else { break }
    }
    return merged
  }

  private func extents(
    of layers: ArraySlice<LayerFile>, _ offset: UInt64, _ length: UInt64, _ limit: Int
  ) throws -> [Extent] {
    var until = offset + length
    var runs: [AllocatedRun] = []
    for layer in layers {
      let found = try layer.runs(offset: offset, length: until - offset, limit: limit)
      until = min(until, found.until)
      runs += found.runs
    }
    var extents: [Extent] = []
    var at = offset
    for run in runs.sorted(by: { $0.offset < $1.offset }) {
      let (from, to) = (max(run.offset, at), min(run.end, until))
      guard from < to else { continue }
      if at < from { extents.append(Extent(offset: at, length: from - at, kind: .absent)) }
      if let last = extents.last, last.kind == .data {
        extents[extents.count - 1].length += to - from
      } else {
        extents.append(Extent(offset: from, length: to - from, kind: .data))
      }
      at = to
    }
    if at < until { extents.append(Extent(offset: at, length: until - at, kind: .absent)) }
    return extents
  }
}
