import DiskImage
import LUKS
import LinuxSystem
public import StageKit

/// An encrypted image under another passphrase: the same ciphertext, with a header that only the new one opens.
public enum RekeyStage: Stage {
  public static let name = "rekey"
  public static let summary = "gives an encrypted image another passphrase, without decrypting it"
  public static let roles: Roles = .filter
  public static let parallel = true
  public static let params: [String: Parameter]? = CryptoParams.derivation

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? {
    let params = try CryptoParams(request)
    guard let below else { return nil }
    if let path = below.filePath, try FileStatus.of(path, followLinks: false)?.isRegular == true {
      switch try LUKSProbe.of(OpenFile.open(path, .read, followLinks: false)) {
      case .encrypted: break
      case .plain: throw notEncrypted(params.image ?? path)
      case .damaged(let how): throw LUKSError.damaged(how).stageError(params.image ?? path)
      }
    }
    return Plan(size: below.size, dataSize: below.dataSize)
  }

  static func notEncrypted(_ image: String) -> StageError {
    StageError("conflict", "cannot re-key the backing image, \(image) is not encrypted")
  }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    let params = try CryptoParams(request)
    guard let lower = request.lower, !request.writable else {
      throw StageError("invalid", "stage rekey is a filter over what is read")
    }
    let old = try request.keyMaterial("passphrase")
    let new = try request.keyMaterial("new-passphrase")
    let image = params.image ?? "the image"
    do {
      return try LUKSError.naming(image) {
        try RekeyDevice(
          over: lower, HeaderKeeper(request).header(of: lower, from: old, to: new, params, host: host))
      }
    } catch let error as StageError where error.code == "conflict" {
      throw notEncrypted(image)
    }
  }

  public static func discard(_ request: OpenRequest, host: any Host) throws { try HeaderKeeper(request).forget() }
}
