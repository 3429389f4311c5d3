import DiskImage
import LinuxSystem
import StageKit

/// What making an image will take, told without making anything.
enum NewImagePlan {
  static func make(_ params: NewImageParams, below: Plan?) throws -> Plan {
    let place = try existing(Folder.parent(of: params.folder))
    return Plan(
      size: below?.size, dataSize: below?.dataSize ?? below?.size, space: try space(params, below, in: place),
      spacePath: place, lock: "image \(params.folder)", filePath: params.image)
  }

  /// Data bytes, less what an earlier attempt wrote, or nothing where the blocks will be shared. What has no size yet
  /// is not counted: it grows while it comes.
  private static func space(_ params: NewImageParams, _ below: Plan?, in place: String) throws -> UInt64 {
    guard let data = below?.dataSize ?? below?.size else { return 0 }
    if let source = below?.filePath, try sharesBlocks(source, in: place) { return 0 }
    let taken = try FileStatus.of(params.partialFolder + "/backing", followLinks: false)?.allocatedBytes ?? 0
    return data - min(data, taken)
  }

  /// The kernel copies only what has a checksum already: the bytes don't pass through anybody's hands who could hash them.
  private static func sharesBlocks(_ source: String, in place: String) throws -> Bool {
    guard let status = try FileStatus.of(source, followLinks: false), status.isRegular,
      status.device == (try FileStatus.of(place)?.device), Folder.offersReflink(place),
      let checksum = try ImageSidecar.read(of: source)?.checksum(trustedFor: status)
    else { return false }
    return try BlockHashList.read(of: source, size: status.size, checksum: checksum) != nil
  }

  /// The nearest folder above that is there.
  private static func existing(_ path: String) throws -> String {
    var path = path
    while path != "/", try FileStatus.of(path)?.isFolder != true { path = Folder.parent(of: path) }
    return path
  }
}
