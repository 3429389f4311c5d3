import DiskImage
import LUKS
import LinuxSystem
import OpenSSL
import StageKit
import Synchronization
import TestKit
import Testing

@testable import CryptoStage

/// Wrong keys, wrong images and headers that lie.
@Suite struct RefusalTests {
  static let image = try! encrypted(Array(noise[..<8192]))

  @Test func aWrongPassphraseIsAWrongKey() throws {
    for wrong in [Array("correct horse".utf8), passphrase + [0], Array(passphrase.dropLast()), [0]] {
      let error = try stageError { _ = try decrypted(Self.image, secret: wrong) }
      #expect(error.code == "wrong-key" && error.retry == .never)
    }
    for secrets in [[:], ["passphrase": []], ["other": passphrase]] as [[String: [UInt8]]] {
      let error = try stageError { try withDevice(over: MemoryDevice(Self.image), secrets: secrets) { _ in } }
      #expect(error.code == "key-missing" && error.message == "missing passphrase for encryption")
    }
  }

  @Test func anEncryptedImageIsNotEncryptedAgain() throws {
    let error = try stageError { _ = try encrypted(Self.image, params: #""image": "golden", "# + fast) }
    #expect(error.code == "conflict" && error.retry == .never)
    #expect(error.message == "cannot re-encrypt the backing image, golden is already encrypted")
    // A source whose beginning can't be looked at first.
    try withDevice(over: MemoryDevice(isNew: true), params: "{\"format\": true, \(fast)}", writable: true) {
      device throws in
      #expect(
        try stageError { try Self.image[..<4096].withUnsafeBytes { try device.write($0, at: 0) } }.code == "conflict")
    }
  }

  @Test func aPlainImageIsNotDecrypted() throws {
    for plain in [Array(noise[..<(1 << 20)]), [UInt8](repeating: 0, count: 8192), Array(noise[..<512])] {
      let error = try stageError {
        try withDevice(over: MemoryDevice(plain), params: #"{"image": "golden"}"#) { _ in }
      }
      #expect(error.code == "conflict" && error.retry == .never)
      #expect(error.message == "cannot re-decrypt the backing image, golden is already decrypted")
    }
  }

  @Test func theSecondHeaderServesWhereTheFirstIsDamaged() throws {
    for damage in [0..<4096, 4096..<4097, 448..<449, 16..<24, 0..<16384] {
      var image = Self.image
      for index in damage { image[index] ^= 0x5A }
      let host = RecordingHost()
      #expect(try decrypted(image, host: host) == Array(noise[..<8192]), "\(damage)")
      #expect(host.lines.withLock { $0.contains { $0.contains("damaged; the second serves") } }, "\(damage)")
    }
  }

  @Test func damageToBothIsTold() throws {
    var image = Self.image
    image[4100] ^= 1
    image[16384 + 4100] ^= 1
    let error = try stageError { _ = try decrypted(image) }
    #expect(error.code == "bad-header" && error.message.contains("damaged"), "\(error)")
    // Without any sign of a header it is a plain image.
    image.replaceSubrange(0..<32768, with: repeatElement(0xFF, count: 32768))
    #expect(try stageError { _ = try decrypted(image) }.code == "conflict")
  }

  @Test func damagedKeyMaterialIsAWrongKey() throws {
    var image = Self.image
    for index in 32768..<(32768 + 4096) { image[index] = 0 }
    #expect(try stageError { _ = try decrypted(image) }.code == "wrong-key")
  }

  @Test func anImageThatWasCutIsRefused() throws {
    for size in [20 << 10, 33 << 10, 1 << 20, (16 << 20) - 512, 16 << 20, (16 << 20) + 100] {
      let error = try stageError { _ = try decrypted(Array(Self.image[..<size])) }
      #expect(error.code == "bad-header", "\(size): \(error)")
    }
  }

  static let lies: [(String, String, String, String)] = [
    ("data beyond the end", #""offset":"16777216""#, #""offset":"99999744""#, "it was cut"),
    ("data within the header", #""offset":"16777216""#, #""offset":"00032768""#, "within the header"),
    ("data between sectors", #""offset":"16777216""#, #""offset":"16777217""#, "within a sector"),
    ("sectors", #""sector_size":512"#, #""sector_size":513"#, "sectors have 513"),
    ("too many sectors", #""size":"dynamic""#, #""size":"8192512""#, "was cut"),
    ("size no number", #""size":"dynamic""#, #""size":"dynamit""#, "no number"),
    ("cipher", "aes-xts-plain64\",\"sector", "aes-cbc-plain64\",\"sector", "aes-cbc-plain64"),
    ("iterations", #""time":4"#, #""time":4294967295"#, "would take"),
    ("memory", #""memory":32"#, #""memory":4294967295"#, "wants 4294967295 KiB"),
    ("threads", #""cpus":"#, #""cpus":77"#, "threads"),
    ("digest", #""iterations":1000"#, #""iterations":4000000000"#, "would take"),
    ("key material short", #""size":"131072""#, #""size":"004096""#, "cut short"),
    ("key material beyond", #""offset":"32768""#, #""offset":"16777216""#, "beyond the end"),
    ("requirement", #""config":{"#, #""config":{"requirements":{"mandatory":["online-reencrypt"]},"#, "needs online"),
    ("tweak", #""iv_tweak":"0""#, #""iv_tweak":"18446744073709551615""#, "begin with number"),
  ]

  @Test(arguments: lies) func aHeaderThatLiesIsRefused(_ name: String, from: String, to: String, says: String) throws {
    let image = try Header.replacing(from, by: to, in: Self.image)
    let error = try stageError { _ = try decrypted(image) }
    #expect(["bad-header", "not-supported"].contains(error.code) && error.retry == .never, "\(name): \(error)")
    #expect(error.message.contains(says), "\(name): \(error.message)")
  }

  /// What is checked must be what libcryptsetup reads: else a header could cost hours and gigabytes unseen.
  @Test(arguments: [
    (#""time":4"#, #""time":4,"time":5"#), (#""time":4"#, #""time":5,"time":4"#),
    (#""memory":32"#, #""memory":32,"memory":4194304"#),
    (#""iterations":1000"#, #""iterations":1000,"iterations":2000"#),
    (#""offset":"16777216""#, #""offset":"16777216","offset":"16777728""#),
  ])
  func aHeaderThatSaysTwoThingsIsRefused(_ from: String, _ to: String) throws {
    let error = try stageError { _ = try decrypted(try Header.replacing(from, by: to, in: Self.image)) }
    #expect(error.code == "bad-header" && error.message.contains("two ways"), "\(error)")
  }

  @Test func memoryThatCantBeHadIsNamed() throws {
    let gate = DerivationGate(availableMemory: { 16 })
    let file = try HeaderFile.load(imageSize: UInt64(Self.image.count)) { buffer, offset in
      buffer.copyBytes(from: Self.image[Int(offset)..<(Int(offset) + buffer.count)])
    }
    let key = passphrase.withUnsafeBytes { KeyMaterial(copying: $0) }
    var refusal: LUKSError?
    do { _ = try file.unlock(key, gate: gate) } catch { refusal = error }
    #expect(
      refusal?.stageError("golden").message.contains("golden takes 32 KiB of memory, and 16 KiB can be had") == true)
    #expect(refusal?.stageError("golden").hint.contains("CRYPTO_PBKDF_MEMORY") == true)
    let error = try stageError {
      _ = try encrypted(Array(noise[..<512]), params: #""pbkdfMemory": 4194305"#)
    }
    #expect(error.code == "invalid" && error.message.contains("pbkdfMemory"))
  }

  @Test func optionsThatCantBeAreNamed() throws {
    for (params, word) in [
      (#""cipher": "aes-cbc-essiv:sha256""#, "aes-cbc-essiv:sha256"), (#""keySize": 128"#, "128 bits"),
      (#""pbkdf": "scrypt""#, "scrypt"), (#""pbkdfForceIterations": 1"#, "pbkdfForceIterations"),
      (#""pbkdfMemory": 1"#, "pbkdfMemory"), (#""hash": "md99", "# + fast, "md99"),
    ] {
      let error = try stageError { _ = try encrypted(Array(noise[..<512]), params: params) }
      #expect(error.code == "invalid" && error.message.contains(word), "\(error)")
      #expect(error.hint.contains("in the secret"), "\(error)")
    }
  }

  @Test func onlyOneKeyIsDerivedAtATime() throws {
    let folder = TemporaryFolder("luks")
    let host = RecordingHost()
    let lock = try OpenFile.open(folder("lock"), .create(permissions: 0o600))
    #expect(try lock.tryLockExclusive())
    host.cancelled.withLock { $0 = true }
    let params = #""derivationLock": "\#(folder("lock"))", "# + fast
    #expect(try stageError { _ = try encrypted(Array(noise[..<512]), params: params, host: host) }.code == "cancelled")
    withExtendedLifetime(lock) {}
  }

  @Test func aPlainDiskWithAnOldSecondHeaderIsPlain() throws {
    var image = Self.image
    image.replaceSubrange(0..<16384, with: repeatElement(0, count: 16384))
    image[510] = 0x55
    image[511] = 0xAA
    #expect(try Header.probe(image) == .plain)
  }
}

/// Headers as bytes.
enum Header {
  static func probe(_ image: [UInt8]) throws -> LUKSProbe {
    try LUKSProbe.of(size: UInt64(image.count)) { buffer, offset in
      buffer.initializeMemory(as: UInt8.self, repeating: 0)
      guard offset < UInt64(image.count) else { return }
      buffer.copyBytes(from: image[Int(offset)...].prefix(buffer.count))
    }
  }

  /// Changes the JSON of both copies, and makes their checksums true again.
  static func replacing(_ old: String, by new: String, in image: [UInt8]) throws -> [UInt8] {
    var image = image
    for start in [0, 16384] {
      let json = image[(start + 4096)..<(start + 16384)].prefix { $0 != 0 }
      let text = String(decoding: json, as: UTF8.self)
      guard text.contains(old) else { throw Cryptsetup.Failed(description: "\(old) is not in \(text)") }
      var changed = Array(text.replacing(old, with: new).utf8)
      changed += repeatElement(0, count: 12288 - changed.count)
      image.replaceSubrange((start + 4096)..<(start + 16384), with: changed)
      sign(&image, start)
    }
    return image
  }

  static func sign(_ image: inout [UInt8], _ start: Int) {
    image.replaceSubrange((start + 448)..<(start + 512), with: repeatElement(0, count: 64))
    let sum = image[start..<(start + 16384)].withUnsafeBytes { SHA256.hash($0) }
    image.replaceSubrange((start + 448)..<(start + 480), with: sum)
  }
}
