import DiskImage
import LUKS
import LinuxSystem
public import StageKit

/// A LUKS volume over an image: plain bytes above, ciphertext below.
public enum CryptoStage: Stage {
  public static let name = "crypto"
  public static let summary = "decrypts what it reads and encrypts what it writes, with a LUKS header before it"
  public static let roles: Roles = .filter
  public static let parallel = true
  public static let params: [String: Parameter]? = CryptoParams.derivation.merging([
    "format": Parameter("true: make a new header of LUKS2; else the one that is there is opened"),
    "cipher": Parameter("cipher of the new header: aes-xts-plain64"),
    "keySize": Parameter("bits of the new volume key: 256, which is usual, or 512"),
  ]) { own, _ in own }

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let params = try CryptoParams(request)
    guard let below else { return nil }
    let found = try below.filePath.flatMap { try probe($0) }
    guard params.format == true else { return try planDecrypting(below, found, params) }
    if let found, found != .plain { throw isEncrypted(params.image ?? below.filePath ?? "it") }
    let size = try below.size.map { size in
      let (sum, overflow) = size.addingReportingOverflow(LUKSHeader.newLength)
      guard !overflow else { throw StageError("bad-size", "an image of \(size) bytes can't be encrypted") }
      return sum
    }
    // Zeros become ciphertext, too.
    return Plan(size: size, dataSize: size)
  }

  private static func planDecrypting(_ below: Plan, _ probe: LUKSProbe?, _ params: CryptoParams) throws -> Plan {
    let image = params.image ?? below.filePath ?? "the image"
    guard let size = below.size else { return Plan() }
    var offset = min(size, LUKSHeader.newLength)
    var end = size
    switch probe {
    case .plain?: throw LUKSError.plain.stageError(image)
    case .damaged(let how)?: throw LUKSError.damaged(how).stageError(image)
    case .encrypted(let header)?:
      if let problem = header.problem(imageSize: size) { throw LUKSError.problem(problem).stageError(image) }
      offset = header.dataOffset
      end = header.dataSize.map { offset + $0 } ?? size
    case nil: break
    }
    return Plan(size: end - offset, dataSize: end - offset)
  }

  /// Nil where nothing is there yet.
  private static func probe(_ path: String) throws -> LUKSProbe? {
    guard try FileStatus.of(path, followLinks: false)?.isRegular == true else { return nil }
    return try LUKSProbe.of(OpenFile.open(path, .read, followLinks: false))
  }

  static func isEncrypted(_ image: String) -> StageError {
    StageError(
      "conflict", "cannot re-encrypt the backing image, \(image) is already encrypted",
      hint: "it has a LUKS header; to change its passphrase, clone it with encryption: rekey")
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    let params = try CryptoParams(request)
    guard let lower = request.lower else { throw StageError("invalid", "stage crypto needs a device below it") }
    let passphrase = try request.keyMaterial("passphrase")
    guard params.format == true else {
      return try CryptoDevice.opening(lower, passphrase, params, isWritable: request.writable, host: host)
    }
    guard request.writable else {
      throw StageError("invalid", "parameter format is for writing, but stage crypto was opened to read")
    }
    return try CryptoDevice.formatting(lower, passphrase, params, request: request, host: host)
  }
}
