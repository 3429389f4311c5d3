import Glibc
import LinuxSystem

/// A volume that comes out of a backup: all of it goes into its first snapshot, and an empty head comes to lie over that.
/// See longhorn-format, 14.5.
///
/// Works in `.partial-NAME` beside the volume's folder, whose record says Rebuilding until it is complete. Writes may come
/// from many threads at once, but two of the same sectors.
public final class VolumeRestoration: Sendable {
  /// What is restored.
  public struct Wanted: Sendable {
    /// Bytes.
    public var size: UInt64
    /// Absolute path of the backing image's file; nil for none.
    public var image: String?
    public var isEncrypted = false
    /// Name of the snapshot.
    public var snapshot: String
    /// RFC 3339.
    public var created: String
    public var labels: [String: String]?
    /// Which volume it is, and the job that makes it.
    public var uuid = ""
    public var job: String

    public init(size: UInt64, image: String?, snapshot: String, created: String, job: String) {
      self.size = size
      self.image = image
      self.snapshot = snapshot
      self.created = created
      self.job = job
    }
  }

  /// Of this unfinished folder: a later attempt goes on only in the one that it began.
  public let identifier: String
  public var size: UInt64 { record.size }
  private let folder: VolumeFolder
  private let partial: VolumeFolder
  private let wanted: Wanted
  private let record: VolumeRecord
  private let layer: LayerFile
  private let lock: OpenFile
  static let lockName = "restoring.lock"

  /// Begins anew, or goes on with what the attempt left that had this identifier and wanted the same.
  public init(_ folder: VolumeFolder, _ wanted: Wanted, continuing: String? = nil) throws {
    guard LayerName.isValid(snapshot: wanted.snapshot) else {
      throw VolumeError(.invalid, "no snapshot can have the name \(wanted.snapshot)")
    }
    guard wanted.size > 0, wanted.size <= Volume.largest, wanted.size % Volume.sectorSize == 0 else {
      throw VolumeError(
        .badSize, "a volume can't have \(wanted.size) bytes", hint: "its size is a multiple of \(Volume.sectorSize)")
    }
    var record = VolumeRecord(size: wanted.size, head: LayerName.head(0))
    record.backingFilePath = try VolumeCreation.base(wanted.image, of: wanted.size)
    record.isEncrypted = wanted.isEncrypted
    record.isRebuilding = true
    record.job = wanted.job
    if try FileStatus.of(folder.path, followLinks: false) != nil {
      try Self.requireOwn(folder, wanted)
    }
    let partial = folder.beside("partial")
    let name = LayerName.ofSnapshot(wanted.snapshot)
    if let continuing {
      record.uuid = continuing
      if try partial.read(LayerName.record) == record.bytes,
        try FileStatus.of(partial(name), followLinks: false) != nil
      {
        lock = try partial.lock(Self.lockName)
        layer = try partial.openLayer(name, writable: true)
        (identifier, self.record, self.folder, self.partial, self.wanted) = (
          continuing, record, folder, partial, wanted
        )
        return
      }
    }
    record.uuid = String(UInt64.random(in: .min ... .max), radix: 16)
    try partial.effect("remove the folder of an earlier attempt")
    try Folder.removeTree(partial.path)
    try partial.effect("create the folder")
    try Folder.create(partial.path, permissions: 0o700, parents: false)
    lock = try partial.lock(Self.lockName)
    try partial.requireExtents()
    layer = try partial.createLayer(name, size: record.size)
    try partial.write(LayerName.record, record.bytes)
    (identifier, self.record, self.folder, self.partial, self.wanted) = (record.uuid, record, folder, partial, wanted)
  }

  /// What is there was made by the same job, before it could say so.
  private static func requireOwn(_ folder: VolumeFolder, _ wanted: Wanted) throws {
    let there = try folder.read(LayerName.record).flatMap { try? VolumeRecord($0, path: folder.path) }
    guard let there, !wanted.job.isEmpty, there.job == wanted.job, there.size == wanted.size else {
      throw VolumeError(
        .conflict, "\(folder.path) is there already", hint: "move it away; Drover never writes over a volume")
    }
  }

  private var hasImage: Bool { !record.backingFilePath.isEmpty }

  /// Fills the buffer with what the snapshot's own layer has.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    try check(offset, UInt64(buffer.count))
    try layer.read(into: buffer, at: offset)
  }

  public func write(_ buffer: UnsafeRawBufferPointer, at offset: UInt64) throws {
    try check(offset, UInt64(buffer.count))
    try layer.write(buffer, at: offset)
  }

  /// Zeros that hide the image; where there is none, nothing need be there.
  public func zero(offset: UInt64, length: UInt64) throws {
    try check(offset, length)
    guard length > 0 else { return }
    try layer.punch(offset: offset, length: length)
    if hasImage { try layer.allocate(offset: offset, length: length) }
  }

  private func check(_ offset: UInt64, _ length: UInt64) throws {
    guard offset <= size, length <= size - offset else {
      throw VolumeError(.invalid, "\(length) bytes at \(offset) lie beyond a volume of \(size)")
    }
    guard offset % Volume.sectorSize == 0, length % Volume.sectorSize == 0 else {
      throw VolumeError(.invalid, "\(length) bytes at \(offset) are not whole sectors of \(Volume.sectorSize)")
    }
  }

  public func flush() throws { try layer.sync() }

  /// Puts the volume into its place, complete and on disk. Once.
  public func commit() throws {
    if try FileStatus.of(folder.path, followLinks: false) != nil {
      try Self.requireOwn(folder, wanted)
      try partial.effect("remove the folder")
      return try Folder.removeTree(partial.path)
    }
    try layer.sync()
    var snapshot = LayerRecord(name: layer.name, parent: "")
    snapshot.isUserCreated = true
    snapshot.created = wanted.created
    snapshot.labels = wanted.labels
    try partial.write(LayerName.record(of: layer.name), snapshot.bytes)
    // An attempt that died here has made it already.
    try partial.remove(record.head)
    _ = try partial.createLayer(record.head, size: record.size)
    var head = LayerRecord(name: record.head, parent: layer.name)
    head.created = LayerRecord.now()
    try partial.write(LayerName.record(of: record.head), head.bytes)
    var complete = record
    complete.parent = layer.name
    complete.isRebuilding = false
    complete.uuid = wanted.uuid
    try partial.write(LayerName.record, complete.bytes)
    try partial.remove(Self.lockName)
    try partial.sync()
    try partial.effect("rename the folder")
    try Folder.renameNew(partial.path, folder.path)
  }

  /// Removes what attempts of the job have left, also what one has put into place that died before it could say so.
  public static func discard(_ folder: VolumeFolder, job: String) throws {
    for place in [folder.beside("partial"), folder] {
      guard let bytes = try place.read(LayerName.record), !job.isEmpty,
        let record = try? VolumeRecord(bytes, path: place.path), record.job == job
      else { continue }
      try place.effect("remove what the job left")
      try Folder.removeTree(place.path)
    }
  }
}
