import DiskImage
import LUKS
import StageKit

extension CryptoDevice {
  /// Over an image that is encrypted already.
  static func opening(
    _ lower: any Device, _ passphrase: KeyMaterial, _ params: CryptoParams, isWritable: Bool, host: any Host
  ) throws -> CryptoDevice {
    let image = params.image ?? "the image"
    let size = try lower.seekableSize()
    return try LUKSError.naming(image) {
      let file = try HeaderFile.load(imageSize: size, log: logging(host)) { try lower.readAll(into: $0, at: $1) }
      if file.header.isPrimaryDamaged {
        host.log(.warning, "the first copy of the LUKS header of \(image) is damaged; the second serves")
      }
      host.phase("unlocking", detail: nil)
      let key = try file.unlock(passphrase, gate: params.gate(host))
      return try CryptoDevice(
        over: lower, file.header, key: key, size: file.header.dataSize ?? size - file.header.dataOffset,
        isWritable: isWritable, host: host)
    }
  }

  /// Over an image that is being made: with a new header, or with the one that an earlier attempt made, if the
  /// checkpoint names it. A copy that goes on must never get another.
  static func formatting(
    _ lower: any Device, _ passphrase: KeyMaterial, _ params: CryptoParams, request: OpenRequest,
    host: any Host
  ) throws -> CryptoDevice {
    let plainSize = try request.source?.info().size
    if let plainSize { try check(size: plainSize) }
    try refuseEncrypted(request.source, params)
    let image = params.image ?? "the image"
    return try LUKSError.naming(image) {
      if let token = request.checkpoint {
        let size = LUKSHeader.newLength + max(512, plainSize ?? 1 << 20)
        let file = try HeaderFile.load(imageSize: size, log: logging(host)) { try lower.readAll(into: $0, at: $1) }
        guard Array(file.header.uuid.utf8) == token else {
          throw StageError("conflict", "the LUKS header of \(image) is not the one that this job wrote")
        }
        host.phase("unlocking", detail: nil)
        let key = try file.unlock(passphrase, gate: params.gate(host))
        return try CryptoDevice(over: lower, file.header, key: key, size: nil, isWritable: true, host: host)
      }
      host.phase("formatting", detail: nil)
      let made = try HeaderFile.make(
        params.encryption, plainSize: plainSize, passphrase: passphrase, gate: params.gate(host), log: logging(host))
      let header = made.header.header
      try write(made.header, to: lower)
      return try CryptoDevice(over: lower, header, key: made.key, size: nil, isWritable: true, host: host)
    }
  }

  static func check(size: UInt64) throws {
    guard size > 0, size % 512 == 0 else {
      throw StageError(
        "bad-size", "the image has \(size) bytes, which is not a multiple of 512",
        hint: "an image is a disk, and a disk has whole sectors; was the file cut, or is it compressed?")
    }
  }

  static func logging(_ host: any Host) -> @Sendable (String) -> Void {
    { host.log(.info, "libcryptsetup: \($0)") }
  }

  /// Of a source that is read in order the first write tells.
  private static func refuseEncrypted(_ source: (any Device)?, _ params: CryptoParams) throws {
    guard let source, let size = try source.info().size, try !source.info().flags.contains(.sequential) else { return }
    let probe = try LUKSProbe.of(size: size) { try source.readAll(into: $0, at: $1) }
    if probe != .plain { throw CryptoStage.isEncrypted(params.image ?? "it") }
  }

  private static func write(_ header: HeaderFile, to lower: any Device) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 << 20, alignment: 4096)
    defer { buffer.deallocate() }
    for at in stride(from: 0, to: LUKSHeader.newLength, by: buffer.count) {
      try header.read(into: buffer, at: at)
      try lower.write(UnsafeRawBufferPointer(buffer), at: at)
    }
  }
}
