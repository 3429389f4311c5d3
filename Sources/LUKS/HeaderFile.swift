public import DiskImage
public import LinuxSystem
private import Glibc

/// A LUKS header in memory, on which libcryptsetup works: taken from an image, or made anew. What is done to it changes
/// no image.
public final class HeaderFile: Sendable {
  private let file: OpenFile
  private let imageSize: UInt64
  private let log: @Sendable (String) -> Void
  /// As it was when this was made.
  public let header: LUKSHeader

  private init(
    _ file: OpenFile, imageSize: UInt64, header: LUKSHeader, log: @escaping @Sendable (String) -> Void
  ) {
    self.file = file
    self.imageSize = imageSize
    self.header = header
    self.log = log
  }

  private static let piece = 1 << 20

  /// Takes the header of an image of `imageSize` bytes, if there is one that can be true and that Drover can read.
  /// - Parameters:
  ///   - read: Fills a buffer with what lies at an offset of the image.
  ///   - log: Receives what libcryptsetup says, on the thread that calls.
  public static func load(
    imageSize: UInt64, log: @escaping @Sendable (String) -> Void = { _ in }, read: LUKSProbe.Read
  ) throws -> HeaderFile {
    let header: LUKSHeader
    switch try unsafe LUKSProbe.of(size: imageSize, read: read) {
    case .plain: throw LUKSError.plain
    case .damaged(let how): throw LUKSError.damaged(how)
    case .encrypted(let found): header = found
    }
    if let problem = header.problem(imageSize: imageSize) { throw LUKSError.problem(problem) }
    let file = try OpenFile.inMemory("luks")
    try file.truncate(to: imageSize)
    var buffer = [UInt8](repeating: 0, count: piece)
    for at in stride(from: 0, to: header.length, by: piece) {
      let count = Int(min(UInt64(piece), header.length - at))
      try unsafe buffer.withUnsafeMutableBytes { buffer in
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try unsafe read(part, at)
        if unsafe part.contains(where: { $0 != 0 }) { try unsafe file.write(UnsafeRawBufferPointer(part), at: at) }
      }
    }
    return HeaderFile(file, imageSize: imageSize, header: header, log: log)
  }

  /// Makes a header of 16 MiB with a new volume key, and one key slot.
  /// - Parameter plainSize: Bytes that will be encrypted; nil: not known yet.
  public static func make(
    _ encryption: Encryption, plainSize: UInt64?, passphrase: KeyMaterial, gate: DerivationGate,
    log: @escaping @Sendable (String) -> Void = { _ in }
  ) throws -> (header: HeaderFile, key: KeyMaterial) {
    try encryption.check()
    let file = try OpenFile.inMemory("luks")
    let imageSize = LUKSHeader.newLength + max(512, plainSize ?? 1 << 20)
    try file.truncate(to: imageSize)
    let derivation = encryption.derivation
    let key = KeyMaterial.random(count: encryption.keySize / 8)
    try gate.pass { () throws(LUKSError) in
      let memory = derivation.memory(available: gate.availableMemory())
      try gate.require(memory: memory)
      try CryptDevice.with(file.path, log: log) { (device) throws(LUKSError) in
        try device.setDerivation(derivation, memory: memory)
        try device.format(encryption.cipher, key: key)
        try device.addKeySlot(passphrase, key: key, memory: memory)
      }
    }
    let header = try describe(file, imageSize)
    guard header.dataOffset == LUKSHeader.newLength else {
      throw LUKSError.library(doing: "make a header of 16 MiB", errno: EINVAL, said: nil)
    }
    return (HeaderFile(file, imageSize: imageSize, header: header, log: log), key)
  }

  /// The volume key, if a key slot takes the passphrase.
  public func unlock(_ passphrase: KeyMaterial, gate: DerivationGate) throws(LUKSError) -> KeyMaterial {
    let memory = header.keySlots.map(\.memory).max() ?? 0
    return try gate.pass { () throws(LUKSError) in
      try gate.require(memory: memory)
      return try CryptDevice.with(file.path, log: log) { (device) throws(LUKSError) in
        try device.load(header)
        return try device.volumeKey(passphrase, memory: memory)
      }
    }
  }

  /// The same header with the same volume key and UUID, which only `new` opens; every other key slot is overwritten, and
  /// tokens are gone. Uses this one up.
  /// - Parameter derivation: A header of version 1 knows pbkdf2 only, and gets that whatever it says.
  public func rekeyed(
    from old: KeyMaterial, to new: KeyMaterial, derivation: KeyDerivation, gate: DerivationGate
  ) throws -> HeaderFile {
    var derivation = derivation
    try derivation.check()
    if header.version == 1, derivation.isArgon {
      derivation = KeyDerivation(function: "pbkdf2", hash: derivation.hash)
    }
    let key = try unlock(old, gate: gate)
    try gate.pass { () throws(LUKSError) in
      let memory = derivation.memory(available: gate.availableMemory())
      try gate.require(memory: memory)
      try CryptDevice.with(file.path, log: log) { (device) throws(LUKSError) in
        try device.load(header)
        try device.destroyKeySlots()
        try device.setDerivation(derivation, memory: memory)
        try device.addKeySlot(new, key: key, memory: memory)
      }
    }
    return HeaderFile(file, imageSize: imageSize, header: try Self.describe(file, imageSize), log: log)
  }

  private static func describe(_ file: OpenFile, _ imageSize: UInt64) throws -> LUKSHeader {
    guard case .encrypted(let header) = try LUKSProbe.of(file) else {
      throw LUKSError.damaged("it can't be read back from memory")
    }
    if let problem = header.problem(imageSize: imageSize) { throw LUKSError.problem(problem) }
    return header
  }

  /// Bytes of the header; what lies beyond its length reads as zero.
  public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws(SystemError) {
    let count = try unsafe file.read(into: buffer, at: offset)
    unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).initializeMemory(as: UInt8.self, repeating: 0)
  }
}
