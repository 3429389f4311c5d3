import DiskImage
import LinuxSystem

/// The image below a volume's oldest layer, raw or qcow2, read only. From many threads at once.
public final class BackingImage: Sendable {
  public let path: String
  /// Bytes of the disk that a guest sees.
  public let size: UInt64
  private let file: OpenFile
  private let stamp: FileStamp
  /// Nil: the file's bytes are the disk.
  private let qcow2: Qcow2Image?

  public init(_ path: String) throws {
    guard path.hasPrefix("/") else {
      throw VolumeError(.invalid, "the path of a backing image must be absolute: \(path)")
    }
    guard let status = try FileStatus.of(path, followLinks: false) else {
      throw VolumeError(
        .notFound, "the volume's backing image \(path) is not there",
        hint: "restore the image, or name another file that holds it",
        retry: .afterFix)
    }
    guard status.isRegular else { throw VolumeError(.invalid, "the backing image \(path) is no plain file") }
    self.path = path
    file = try OpenFile.open(path, .read, followLinks: false)
    stamp = FileStamp(try file.status())
    qcow2 = try Qcow2Image.hasMagic(file) ? Qcow2Image(file) : nil
    size = qcow2?.size ?? stamp.size
  }

  /// Changes when the file does.
  var identity: String { stamp.text }

  /// Throws `sourceChanged` where the file is not what was opened any more.
  func requireUnchanged() throws {
    guard FileStamp(try file.status()) == stamp else {
      throw VolumeError(
        .sourceChanged, "the backing image \(path) has changed while a volume over it was open",
        hint: "a backing image must never be written to; restore it before the volume is used again")
    }
  }

  /// Fills the buffer; beyond the end the image reads as zeros.
  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws {
    let known = offset < size ? Int(min(UInt64(buffer.count), size - offset)) : 0
    let part = UnsafeMutableRawBufferPointer(rebasing: buffer[..<known])
    if let qcow2 {
      if known > 0 { try qcow2.read(into: part, at: offset) }
    } else if try file.read(into: part, at: offset) < known {
      throw VolumeError(.sourceChanged, "the backing image \(path) has become shorter", hint: "restore it")
    }
    UnsafeMutableRawBufferPointer(rebasing: buffer[known...]).initializeMemory(as: UInt8.self, repeating: 0)
  }

  /// What the image has of the range, in order and without gaps; perhaps not to its end, but something.
  func extents(offset: UInt64, length: UInt64, limit: Int = 256) throws -> [FileExtent] {
    guard offset < size else { return [FileExtent(offset: offset, length: length, isData: false)] }
    let known = min(length, size - offset)
    var found =
      try qcow2?.extents(offset: offset, length: known, limit: limit)
      ?? file.extents(offset: offset, length: known, limit: limit)
    if known < length, let last = found.last, last.offset + last.length == offset + known {
      found.append(FileExtent(offset: offset + known, length: length - known, isData: false))
    }
    return found
  }

  /// Whether nothing but zeros is known to lie in the whole range.
  func isZero(offset: UInt64, length: UInt64) throws -> Bool {
    var at = offset
    while at < offset + length {
      let found = try extents(offset: at, length: offset + length - at)
      guard !found.contains(where: \.isData), let last = found.last else { return false }
      at = last.offset + last.length
    }
    return true
  }
}
