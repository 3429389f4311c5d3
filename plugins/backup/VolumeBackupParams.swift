import Backupstore
import Compression
import StageKit

/// The sink's parameters where a volume is backed up, checked.
struct VolumeBackupParams {
  var target: StoreURL
  /// Of the volume in the store.
  var volume: String
  /// Of the backup there.
  var name: String
  var create: Bool
  private let raw: Raw
  private let method: CompressionMethod

  private struct Raw: Decodable {
    var target: String
    var name: String
    var volume: String?
    var snapshot: String?
    var base: String?
    var baseSnapshot: String?
    var mode: String?
    var blockSize: UInt64?
    var backingImage: String?
    var backingImageChecksum: String?
    var labels: [String: String]?
    var compression: String?
    var create: Bool?
  }

  /// Nil where an image is backed up.
  init?(_ request: OpenRequest) throws {
    let raw = try request.params(as: Raw.self)
    guard let volume = raw.volume, !volume.isEmpty else {
      for (key, value) in [("snapshot", raw.snapshot), ("base", raw.base), ("mode", raw.mode)] where value != nil {
        throw StageError("invalid", "parameter \(key) has no meaning without the parameter volume")
      }
      return nil
    }
    guard raw.snapshot?.isEmpty == false else {
      throw StageError("invalid", "the backup of a volume needs the parameter snapshot")
    }
    guard (raw.base == nil) == (raw.baseSnapshot == nil) else {
      throw StageError("invalid", "the parameters base and baseSnapshot go together")
    }
    guard ["full", "incremental"].contains(raw.mode ?? "incremental") else {
      throw StageError("invalid", "mode \(raw.mode.debugDescription) is not known", hint: "use full or incremental")
    }
    target = try StoreURL(raw.target)
    self.volume = volume
    name = raw.name
    create = raw.create ?? false
    method = try BackupParams.method(raw.compression)
    self.raw = raw
  }

  func request(
    size: UInt64, jobFolder: String,
    readSource: @escaping @Sendable (UnsafeMutableRawBufferPointer, UInt64) throws -> Void
  ) -> VolumeBackupRequest {
    VolumeBackupRequest(
      name: name, volume: volume, size: size, snapshot: raw.snapshot ?? "",
      base: raw.base.map { .init(backup: $0, snapshot: raw.baseSnapshot ?? "") }, rewrites: raw.mode == "full",
      blockSize: raw.blockSize ?? ImageConfig.blockSize, labels: raw.labels ?? [:], method: method,
      backingImage: raw.backingImage ?? "", backingImageChecksum: raw.backingImageChecksum ?? "",
      jobFolder: jobFolder, readSource: readSource)
  }
}
