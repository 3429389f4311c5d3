import FoundationEssentials
public import LinuxSystem
import OpenSSL

/// `backing.cfg` beside an image: Longhorn's keys, and Drover's own, which Longhorn ignores.
///
/// Source: Longhorn's backing-image-manager, `pkg/types`; docs of the format in longhorn-format.md, section 10.1.
public struct ImageSidecar: Sendable, Hashable, Codable {
  /// The full path of the image file, whatever Longhorn's key says.
  public var name: String
  public var uuid: String
  public var size: Int64
  public var virtualSize: Int64
  /// Bytes on disk.
  public var realSize: Int64
  /// SHA-512, 128 lower-case hexadecimal digits, or empty.
  public var expectedChecksum: String
  public var currentChecksum: String
  /// As Go prints it.
  public var modificationTime: String
  /// Drover's: nanoseconds since 1970, and the file's inode. A sidecar that Longhorn wrote has none of them.
  public var droverModifiedNanoseconds: Int64?
  public var droverChangedNanoseconds: Int64?
  public var droverInode: UInt64?
  /// Drover's: the job that made the image. Nil where another program did.
  public var droverJob: String?

  /// Describes a finished image that has `status` now and is or will be found at `path`.
  public init(
    path: String, uuid: String, description: ImageDescription, status: FileStatus, expectedChecksum: String?,
    checksum: String?, job: String? = nil
  ) {
    name = path
    self.uuid = uuid
    size = Int64(status.size)
    virtualSize = Int64(clamping: description.virtualSize)
    realSize = Int64(status.allocatedBytes)
    self.expectedChecksum = expectedChecksum ?? ""
    currentChecksum = checksum ?? ""
    modificationTime = goTime(nanoseconds: status.modifiedNanoseconds)
    droverModifiedNanoseconds = status.modifiedNanoseconds
    droverChangedNanoseconds = status.changedNanoseconds
    droverInode = status.inode
    droverJob = job
  }

  /// The checksum, if the file's bytes can't have changed since it was computed. Size, both times and the inode must be
  /// equal; so a sidecar of Longhorn's, which does not have them all, is never enough.
  public func checksum(trustedFor status: FileStatus) -> String? {
    guard size == Int64(status.size), droverModifiedNanoseconds == status.modifiedNanoseconds,
      droverChangedNanoseconds == status.changedNanoseconds, droverInode == status.inode,
      bytes(hexadecimal: currentChecksum)?.count == SHA512.length
    else { return nil }
    return currentChecksum.lowercased()
  }

  /// Where the sidecar of the image file at `image` lies.
  public static func path(of image: String) -> String { image + ".cfg" }

  /// Nil where there is none, or where what is there is no sidecar. An error means that nobody knows.
  public static func read(of image: String) throws(SystemError) -> ImageSidecar? {
    let path = path(of: image)
    guard let status = try FileStatus.of(path), status.isRegular, status.size <= 64 << 10 else { return nil }
    return try? JSONDecoder().decode(ImageSidecar.self, from: Data(try Folder.readFile(path, limit: 64 << 10)))
  }

  /// Writes it beside `image`, durably.
  public func write(beside image: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try Folder.writeDurably(Self.path(of: image), Array(try encoder.encode(self)))
  }
}
