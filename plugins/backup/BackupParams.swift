import Backupstore
import Compression
import StageKit

/// The sink's parameters, checked.
struct BackupParams {
  var target: StoreURL
  var name: String
  var checksum: String?
  var labels: [String: String]
  var method: CompressionMethod
  var secret: String
  var secretNamespace: String
  var create: Bool

  private struct Raw: Decodable {
    var target: String
    var name: String
    var checksum: String?
    var labels: [String: String]?
    var compression: String?
    var secret: String?
    var secretNamespace: String?
    var create: Bool?
  }

  init(_ request: OpenRequest) throws {
    let raw = try request.params(as: Raw.self)
    target = try StoreURL(raw.target)
    name = raw.name
    checksum = raw.checksum.flatMap { $0.isEmpty ? nil : $0.lowercased() }
    labels = raw.labels ?? [:]
    secret = raw.secret ?? ""
    secretNamespace = raw.secretNamespace ?? ""
    create = raw.create ?? false
    method = try Self.method(raw.compression)
  }

  /// By name; lz4 where none is given.
  static func method(_ name: String?) throws -> CompressionMethod {
    let name = name.flatMap { $0.isEmpty ? nil : $0 } ?? CompressionMethod.lz4.rawValue
    guard let known = CompressionMethod(rawValue: name) else {
      throw StageError(
        "invalid", "compression \(name.debugDescription) is not known",
        hint: "use \(CompressionMethod.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    return known
  }

  /// `info` is the reading side's; nil where it is not open yet.
  func request(
    size: UInt64, info: DeviceInfo?, _ request: OpenRequest,
    readSource: @escaping @Sendable (UnsafeMutableRawBufferPointer, UInt64) throws -> Void
  ) -> ImageBackupRequest {
    ImageBackupRequest(
      name: name, size: size, checksum: checksum ?? info?.sha512, labels: labels, method: method, secret: secret,
      secretNamespace: secretNamespace, blockHashes: info?.sha512 == nil ? nil : info?.blockHashes,
      jobFolder: request.jobFolder, checkpoint: request.checkpoint, readSource: readSource)
  }
}
