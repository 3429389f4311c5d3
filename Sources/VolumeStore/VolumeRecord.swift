import FoundationEssentials

/// `volume.meta`. Source: longhorn-format, 14.1.
public struct VolumeRecord: Sendable, Hashable {
  /// Bytes, a multiple of `Volume.sectorSize`.
  public var size: UInt64
  /// File of the live layer.
  public var head: String
  /// Not closed since it was written to.
  public var isDirty = false
  /// An incomplete copy, which must not be read as the volume.
  public var isRebuilding = false
  public var error = ""
  /// File of the layer below the head; empty for none.
  public var parent = ""
  /// Longhorn's, of no meaning here.
  public var sectorSize: UInt64 = 512
  /// Absolute path of the backing image's file; empty for none.
  public var backingFilePath = ""
  public var isEncrypted = false
  /// Drover's own, which Longhorn ignores: which volume this is, and the job that made it. Empty where nobody said.
  public var uuid = ""
  public var job = ""
  /// Drover's own: file of the head that the last revert gave up, which is to be deleted. Empty for none.
  public var discarded = ""

  public init(size: UInt64, head: String) {
    self.size = size
    self.head = head
  }

  /// Reads it as Longhorn wrote it, of any version, and refuses what can't be true.
  /// - Parameter path: for messages.
  init(_ bytes: [UInt8], path: String) throws {
    let given: Given
    do {
      given = try JSONDecoder().decode(Given.self, from: Data(bytes))
    } catch {
      throw VolumeError(.badFormat, "\(path) is no volume's record: \(bytes.isEmpty ? "it is empty" : "no valid JSON")")
    }
    guard let size = given.Size, size > 0, UInt64(size) <= Volume.largest, UInt64(size) % Volume.sectorSize == 0 else {
      throw VolumeError(
        .badFormat, "\(path) says a size of \(given.Size ?? 0) bytes, which no volume has",
        hint: "a size is a multiple of \(Volume.sectorSize), and at most \(Volume.largest)")
    }
    guard let head = given.Head, LayerName.isHead(head) else {
      throw VolumeError(.badFormat, "\(path) names \(given.Head.map(RecordText.quoted) ?? "nothing") as its head")
    }
    self.init(size: UInt64(size), head: head)
    isDirty = given.Dirty ?? false
    isRebuilding = given.Rebuilding ?? false
    error = given.Error ?? ""
    parent = try LayerRecord.parent(given.Parent, path: path)
    sectorSize = UInt64(max(0, given.SectorSize ?? 512))
    backingFilePath = given.BackingFilePath ?? ""
    if backingFilePath.isEmpty, let old = given.BackingFileName { backingFilePath = old }
    isEncrypted = given.Encrypted ?? false
    uuid = given.DroverUUID ?? ""
    job = given.DroverJob ?? ""
    if let name = given.DroverDiscarded, !name.isEmpty {
      guard LayerName.isHead(name) else {
        throw VolumeError(.badFormat, "\(path) gives up \(RecordText.quoted(name)), which is no head's file")
      }
      discarded = name
    }
  }

  private struct Given: Decodable {
    var Size: Int64?
    var Head: String?
    var Dirty: Bool?
    var Rebuilding: Bool?
    var Error: String?
    var Parent: String?
    var SectorSize: Int64?
    var BackingFilePath: String?
    var BackingFileName: String?
    var Encrypted: Bool?
    var DroverUUID: String?
    var DroverJob: String?
    var DroverDiscarded: String?
  }

  var bytes: [UInt8] {
    var text = RecordText()
    text.add("Size", size)
    text.add("Head", head)
    text.add("Dirty", isDirty)
    text.add("Rebuilding", isRebuilding)
    text.add("Error", error)
    text.add("Parent", parent)
    text.add("SectorSize", sectorSize)
    text.add("BackingFilePath", backingFilePath)
    text.add("Encrypted", isEncrypted)
    if !uuid.isEmpty { text.add("DroverUUID", uuid) }
    if !job.isEmpty { text.add("DroverJob", job) }
    if !discarded.isEmpty { text.add("DroverDiscarded", discarded) }
    return text.bytes
  }
}
