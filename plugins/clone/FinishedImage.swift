import DiskImage
import FoundationEssentials
import LinuxSystem
import StageKit

/// An image in its place.
struct FinishedImage {
  var path: String
  var sidecar: ImageSidecar
  var format: ImageFormat
  var encryption: LUKSProbe

  /// - Parameter file: The finished image file, wherever it lies.
  init(path: String, sidecar: ImageSidecar, file: OpenFile) throws {
    self.path = path
    self.sidecar = sidecar
    format = try ImageDescription.of(file).format
    encryption = try LUKSProbe.of(file)
  }

  /// What is in the place already: an attempt that ended after its last step has left it. Nil where the place is free.
  static func find(_ params: NewImageParams) throws -> FinishedImage? {
    guard try FileStatus.of(params.folder, followLinks: false) != nil else { return nil }
    guard try FileStatus.of(params.image, followLinks: false)?.isRegular == true,
      let sidecar = try ImageSidecar.read(of: params.image), sidecar.uuid == params.uuid
    else { throw taken(params.folder) }
    let file = try OpenFile.open(params.image, .read, followLinks: false)
    guard sidecar.checksum(trustedFor: try file.status()) != nil else { throw taken(params.folder) }
    return try FinishedImage(path: params.image, sidecar: sidecar, file: file)
  }

  func holds(size: UInt64, checksum: String?) -> Bool {
    sidecar.size == Int64(clamping: size) && sidecar.currentChecksum == checksum
  }

  /// Takes an image out of its place that no job has answered for.
  static func remove(_ params: NewImageParams) throws {
    // Out of the way first, in one step, so that half an image is never taken for one.
    let removed = params.folder + ".removed.partial"
    try Folder.removeTree(removed)
    try Folder.rename(params.folder, removed)
    try Folder.removeTree(removed)
  }

  /// The same, if an attempt of this job put it there and died before it could say so.
  static func remove(_ params: NewImageParams, madeBy job: String) throws {
    try Folder.removeTree(params.folder + ".removed.partial")
    guard try FileStatus.of(params.image, followLinks: false)?.isRegular == true,
      let sidecar = try ImageSidecar.read(of: params.image), sidecar.uuid == params.uuid, sidecar.droverJob == job
    else { return }
    try remove(params)
  }

  static func taken(_ folder: String) -> StageError {
    StageError(
      "conflict", "\(folder) is there already and holds something else",
      hint: "move it away; Drover never writes over an image")
  }

  /// The record that goes into the job's result.
  func result() throws -> String {
    struct Result: Encodable {
      var path: String
      var size: Int64
      var virtualSize: Int64
      var realSize: Int64
      var format: ImageFormat
      var checksum: String
      var uuid: String
      /// Told from the header, also from one that is damaged.
      var encrypted: Bool
      var luks: LUKSRecord?
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    let result = Result(
      path: path, size: sidecar.size, virtualSize: sidecar.virtualSize, realSize: sidecar.realSize, format: format,
      checksum: sidecar.currentChecksum, uuid: sidecar.uuid, encrypted: encryption != .plain,
      luks: LUKSRecord(encryption))
    return String(decoding: try encoder.encode(result), as: UTF8.self)
  }
}
