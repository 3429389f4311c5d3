import LinuxSystem

/// Makes a new, empty volume.
public enum VolumeCreation {
  /// In `folder`, whose place must be free; the folder above it must be there. It is in its place only when it is complete.
  ///
  /// Works in `.partial-NAME` beside it, which a crash leaves behind and the next attempt removes. A volume that the same job made
  /// before it could say so is taken as made.
  /// - Parameters:
  ///   - size: bytes, rounded up to `Volume.sizeUnit`.
  ///   - image: absolute path of the backing image's file, whose disk the volume must be able to hold.
  @discardableResult
  public static func create(
    _ folder: VolumeFolder, size: UInt64, image: String? = nil, isEncrypted: Bool = false, uuid: String = "",
    job: String = ""
  ) throws -> VolumeRecord {
    var record = VolumeRecord(size: try Volume.rounded(size), head: LayerName.head(0))
    record.isEncrypted = isEncrypted
    record.uuid = uuid
    record.job = job
    record.backingFilePath = try base(image, of: record.size)
    if try FileStatus.of(folder.path, followLinks: false) != nil { return try existing(folder, record) }
    let partial = folder.beside("partial")
    try partial.effect("remove the folder of an earlier attempt")
    try Folder.removeTree(partial.path)
    try partial.effect("create the folder")
    try Folder.create(partial.path, permissions: 0o700, parents: false)
    try partial.requireExtents()
    _ = try partial.createLayer(record.head, size: record.size)
    var head = LayerRecord(name: record.head, parent: "")
    head.created = LayerRecord.now()
    try partial.write(LayerName.record(of: record.head), head.bytes)
    try partial.write(LayerName.record, record.bytes)
    try partial.effect("rename the folder")
    try Folder.renameNew(partial.path, folder.path)
    return record
  }

  /// What the record says of the image: its path, or nothing. Throws where the volume could not hold its disk.
  static func base(_ image: String?, of size: UInt64) throws -> String {
    guard let image, !image.isEmpty else { return "" }
    let disk = try BackingImage(image).size
    guard disk <= size else {
      throw VolumeError(
        .badSize, "the volume would have \(size) bytes, but the disk in its backing image \(image) has \(disk)",
        hint: "give the volume at least the virtual size of the image")
    }
    return image
  }

  private static func existing(_ folder: VolumeFolder, _ wanted: VolumeRecord) throws -> VolumeRecord {
    let there = try folder.read(LayerName.record).flatMap { try? VolumeRecord($0, path: folder.path) }
    guard let there, !wanted.job.isEmpty, there.job == wanted.job, there.size == wanted.size else {
      throw VolumeError(
        .conflict, "\(folder.path) is there already", hint: "move it away; Drover never writes over a volume")
    }
    return there
  }
}
