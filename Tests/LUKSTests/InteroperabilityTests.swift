import CryptoStage
import DiskImage
import LinuxSystem
import StageKit
import TestKit
import Testing

/// Drover and cryptsetup, each reading what the other wrote. The bytes are also compared with an XTS of the test's own.
@Suite struct InteroperabilityTests {
  static let written = [
    (#""pbkdf": "argon2i", "pbkdfForceIterations": 4, "pbkdfMemory": 32"#, "argon2i", "sha256", 256),
    (
      #""pbkdf": "argon2id", "pbkdfForceIterations": 5, "pbkdfMemory": 64, "hash": "sha512""#, "argon2id", "sha512", 256
    ),
    (#""pbkdf": "pbkdf2", "pbkdfForceIterations": 1000, "keySize": 512, "hash": "sha1""#, "pbkdf2", "sha1", 512),
  ]

  @Test(arguments: written)
  func cryptsetupOpensWhatDroverWrote(_ params: String, pbkdf: String, hash: String, bits: Int) throws {
    let folder = TemporaryFolder("luks")
    let plain = Array(noise[..<(65 * 512)])
    let image = try encrypted(plain, params: params)
    #expect(image.count == plain.count + (16 << 20))
    try write(image, to: folder("image"))
    let dump = try Cryptsetup.dump(folder("image"))
    #expect(dump.contains("Version:       \t2") && dump.contains("cipher: aes-xts-plain64"), "\(dump)")
    #expect(dump.contains("offset: 16777216 [bytes]") && dump.contains("sector: 512 [bytes]"), "\(dump)")
    #expect(dump.contains("PBKDF:      \(pbkdf)") && dump.contains("AF hash:    \(hash)"), "\(dump)")
    #expect(dump.contains("Key:        \(bits) bits"), "\(dump)")
    #expect(Cryptsetup.opens(folder("image"), passphrase))
    #expect(!Cryptsetup.opens(folder("image"), Array("correct horse".utf8)))
    let key = try Cryptsetup.volumeKey(folder("image"), passphrase)
    #expect(key.count * 8 == bits)
    #expect(
      try OtherXTS.apply(Array(image[(16 << 20)...]), key: key, encrypt: false, sectorSize: 512) == plain)
    #expect(try decrypted(image) == plain)
  }

  static let foreign: [(String, [String], Int)] = [
    ("argon2id", fastOptions, 512),
    ("argon2i", ["--pbkdf", "argon2i", "--pbkdf-force-iterations", "4", "--pbkdf-memory", "64"], 512),
    ("pbkdf2", ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"], 512),
    ("sha512", fastOptions + ["--hash", "sha512"], 512), ("512 bits", fastOptions + ["--key-size", "512"], 512),
    ("4096", fastOptions + ["--sector-size", "4096"], 4096), ("2048", fastOptions + ["--sector-size", "2048"], 2048),
    ("small metadata", fastOptions + ["--luks2-metadata-size", "32k", "--luks2-keyslots-size", "1m"], 512),
    ("offset", fastOptions + ["--offset", "65536"], 512),
    ("LUKS1", ["--type", "luks1", "--pbkdf-force-iterations", "1000"], 512),
  ]

  @Test(arguments: foreign)
  func droverReadsWhatCryptsetupWrote(_ name: String, options: [String], sectorSize: Int) throws {
    let folder = TemporaryFolder("luks")
    let image = folder("image")
    let file = try OpenFile.open(image, .createNew(permissions: 0o600))
    try file.truncate(to: 34 << 20)
    let size =
      options.contains("--sector-size") ? options : options + (name == "LUKS1" ? [] : ["--sector-size", "512"])
    try Cryptsetup.format(
      image, passphrase,
      (options.contains("--type") ? [] : ["--type", "luks2"])
        + (options.contains("--key-size") ? [] : ["--key-size", "256"]) + size)
    guard case .encrypted(let header) = try LUKSProbe.of(file) else {
      Issue.record("not seen as encrypted")
      return
    }
    #expect(header.sectorSize == sectorSize && header.cipher == "aes-xts-plain64")
    #expect(header.version == (name == "LUKS1" ? 1 : 2) && header.keySize == (name == "512 bits" ? 512 : 256))
    #expect(header.problem(imageSize: 34 << 20) == nil)
    #expect(try Cryptsetup.dump(image).contains(header.uuid))
    let plain = Array(noise[..<(9 * 4096)])
    let key = try Cryptsetup.volumeKey(image, passphrase)
    let secret = try OtherXTS.apply(plain, key: key, encrypt: true, sectorSize: sectorSize)
    try secret.withUnsafeBytes { try file.write($0, at: header.dataOffset) }
    try withDevice(over: MemoryDevice(try contents(image))) { device throws in
      #expect(try device.info().size == (34 << 20) - header.dataOffset)
      #expect(try device.info().blockMin == sectorSize)
      #expect(try read(device, plain.count, at: 0) == plain)
      #expect(try read(device, 1000, at: 4097) == Array(plain[4097..<5097]))
    }
  }

  @Test func aSecondKeySlotOpensToo() throws {
    let folder = TemporaryFolder("luks")
    let plain = Array(noise[..<4096])
    try write(try encrypted(plain), to: folder("image"))
    try write(passphrase, to: folder("old"))
    try Cryptsetup.run(
      Cryptsetup.program!,
      ["-q", "luksAddKey"] + fastOptions + ["--key-file", folder("old"), folder("image"), "-"], input: Array("new".utf8)
    )
    #expect(try decrypted(try contents(folder("image")), secret: Array("new".utf8)) == plain)
    #expect(try decrypted(try contents(folder("image"))) == plain)
  }
}
