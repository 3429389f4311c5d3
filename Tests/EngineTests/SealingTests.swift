import DroverModel
import GRDB
import LinuxSystem
import OpenSSL
import TestKit
import Testing

@testable import Engine

/// Values in the catalog: only the right key opens them, and only where they were put.
struct SealingTests {
  private let folder = TemporaryFolder("sealing")
  private let secret = SecretReference(namespace: "ns", name: "key")
  private let value = SecretBytes("correct horse battery staple")
  private var ring: Keyring { Keyring(folder: folder("keys"), credentials: nil) }

  private func writeKey(_ byte: UInt8, to path: String? = nil, count: Int = 32, permissions: UInt32 = 0o600) throws {
    try Folder.create(folder("keys"))
    let path = path ?? ring.file
    try Folder.writeDurably(path, [UInt8](repeating: byte, count: count), permissions: permissions)
  }

  private func fault<T>(_ body: () throws(Fault) -> T) -> Fault? {
    do {
      _ = try body()
      return nil
    } catch { return error }
  }

  @Test func theKeyIsMadeOnceAndForItsOwnerAlone() throws {
    let key = try ring.keyForSealing(sealed: false)
    #expect(try #require(try FileStatus.of(ring.file)).permissions == 0o600)
    #expect(try #require(try FileStatus.of(folder("keys"))).permissions == 0o700)
    #expect(try Folder.list(folder("keys")) == ["sealing.key"])
    #expect(try ring.keyForSealing(sealed: true).bytes == key.bytes)
    let sealed = key.seal(value, "CRYPTO_KEY_VALUE", of: secret)
    #expect(try ring.open(sealed, of: secret) == value)
    let another = try Keyring(folder: folder("other"), credentials: nil).keyForSealing(sealed: false)
    #expect(another.bytes != key.bytes && another.identifier != key.identifier)
  }

  @Test func valuesOfEveryLengthComeBackAndNeverLookAlike() throws {
    let key = try ring.keyForSealing(sealed: false)
    for length in [0, 1, 15, 16, 17, 4096] {
      let value = SecretBytes(String(repeating: "x", count: length))
      let one = key.seal(value, "a", of: secret)
      #expect(try ring.open(one, of: secret) == value)
      #expect(key.seal(value, "a", of: secret).bytes != one.bytes, "a nonce came twice")
      #expect(one.bytes.count == 29 + length)
    }
  }

  /// Test case 14 of the paper that GCM comes from (McGrew and Viega, "The Galois/Counter Mode of Operation").
  @Test func theCipherIsAES256GCM() {
    let zeros = [UInt8](repeating: 0, count: 32)
    var sealed = [UInt8](repeating: 0, count: 32)
    zeros.withUnsafeBytes { zeros in
      sealed.withUnsafeMutableBytes {
        AES256GCM.seal(
          UnsafeRawBufferPointer(rebasing: zeros[..<16]), key: zeros,
          nonce: UnsafeRawBufferPointer(rebasing: zeros[..<12]),
          associated: UnsafeRawBufferPointer(rebasing: zeros[..<0]),
          into: $0)
      }
    }
    #expect(hexadecimal(sealed) == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919")
  }

  @Test func aValueThatWasMovedDoesNotOpen() throws {
    let sealed = try ring.keyForSealing(sealed: false).seal(value, "CRYPTO_KEY_VALUE", of: secret)
    var moved = sealed
    moved.key = "OTHER"
    #expect(fault { () throws(Fault) in try ring.open(moved, of: secret) }?.code == .wrongKey)
    for other in [SecretReference(namespace: "ns", name: "other"), SecretReference(namespace: "nsk", name: "ey")] {
      let fault = fault { () throws(Fault) in try ring.open(sealed, of: other) }
      #expect(fault?.code == .wrongKey)
      #expect(fault?.message.contains("changed in the catalog, or moved") == true)
    }
  }

  @Test func noBitOfAValueCanBeChanged() throws {
    let sealed = try ring.keyForSealing(sealed: false).seal(SecretBytes("ab"), "k", of: secret)
    for index in sealed.bytes.indices {
      for bit in 0..<8 {
        var bad = sealed
        bad.bytes[index] ^= 1 << bit
        #expect(fault { () throws(Fault) in try ring.open(bad, of: secret) }?.code == .wrongKey, "byte \(index)")
      }
    }
    for length in 0..<sealed.bytes.count {
      var short = sealed
      short.bytes = Array(sealed.bytes.prefix(length))
      #expect(fault { () throws(Fault) in try ring.open(short, of: secret) }?.code == .wrongKey, "\(length) bytes")
    }
  }

  @Test func aLostOrWrongKeyIsSaidAndNoNewOneIsMade() throws {
    let sealed = try ring.keyForSealing(sealed: false).seal(value, "k", of: secret)
    let key = try Folder.readFile(ring.file, limit: 64)
    try writeKey(7)
    let wrong = fault { () throws(Fault) in try ring.open(sealed, of: secret) }
    #expect(wrong?.code == .wrongKey && wrong?.code.exitCode == 8 && wrong?.retry == .afterFix)
    try Folder.remove(file: ring.file)
    let lost = fault { () throws(Fault) in try ring.open(sealed, of: secret) }
    #expect(lost?.code == .keyMissing && lost?.code.exitCode == 8 && lost?.retry == .afterFix)
    #expect(fault { () throws(Fault) in try ring.keyForSealing(sealed: true) }?.code == .keyMissing)
    #expect(try FileStatus.of(ring.file) == nil)
    try Folder.writeDurably(ring.file, key, permissions: 0o600)
    #expect(try ring.open(sealed, of: secret) == value)
  }

  @Test func aKeyThatCanNotBeTrustedIsNotUsed() throws {
    for (count, permissions) in [(31, 0o600), (33, 0o600), (0, 0o600), (32, 0o644), (32, 0o640)] as [(Int, UInt32)] {
      try? Folder.remove(file: ring.file)
      try writeKey(1, count: count, permissions: permissions)
      let fault = fault { () throws(Fault) in try ring.keyForSealing(sealed: false) }
      #expect(fault?.code == .keyMissing, "\(count) bytes, \(String(permissions, radix: 8))")
      #expect(fault?.message.contains(ring.file) == true)
    }
  }

  @Test func aCredentialComesFirstAndTheFileStillOpensWhatItSealed() throws {
    let old = try ring.keyForSealing(sealed: false).seal(value, "k", of: secret)
    let both = Keyring(folder: folder("keys"), credentials: folder("credentials"))
    #expect(try both.open(old, of: secret) == value, "the service manager gave no credential")
    try Folder.create(folder("credentials"))
    try writeKey(9, to: folder("credentials/drover-key"), permissions: 0o440)
    let new = try both.keyForSealing(sealed: true).seal(value, "k", of: secret)
    #expect(new.sealedWith != old.sealedWith)
    #expect(try both.open(new, of: secret) == value)
    #expect(try both.open(old, of: secret) == value)
    #expect(fault { () throws(Fault) in try ring.open(new, of: secret) }?.code == .wrongKey)
  }

  @Test func theCatalogKeepsAndReplacesAndOverwrites() throws {
    let path = folder("catalog.sqlite")
    let other = SecretReference(namespace: "ns", name: "other")
    func sealed(_ key: String, _ byte: UInt8) -> SealedValue {
      SealedValue(key: key, sealedWith: "id", bytes: [UInt8](repeating: byte, count: 400))
    }
    do {
      let catalog = try Catalog(path: path)
      #expect(try !catalog.holdsSecrets())
      try catalog.commit([
        .putSecret(secret, [sealed("b", 0xB1), sealed("a", 0xA1)]), .putSecret(other, [sealed("a", 0xC1)]),
      ])
      #expect(try catalog.sealedValues(of: secret).map(\.key) == ["a", "b"])
      try catalog.commit([.putSecret(secret, [sealed("c", 0xD1)])])
      #expect(try catalog.sealedValues(of: secret) == [sealed("c", 0xD1)])
      try catalog.commit([.deleteSecret(secret)])
      #expect(try catalog.sealedValues(of: secret).isEmpty)
      #expect(try catalog.sealedValues(of: other) == [sealed("a", 0xC1)])
      #expect(try catalog.holdsSecrets())
      try catalog.commit([.deleteSecret(other)])
    }
    // Closed, the write-ahead log has gone into the file.
    try DatabaseQueue(path: path).writeWithoutTransaction { _ = try $0.checkpoint(.truncate) }
    let bytes = try Folder.readFile(path, limit: 1 << 24)
    for mark in [0xA1, 0xB1, 0xC1, 0xD1] as [UInt8] {
      #expect(!bytes.contains(pattern: [UInt8](repeating: mark, count: 100)), "\(mark) is still in the file")
    }
  }
}

extension [UInt8] {
  func contains(pattern: [UInt8]) -> Bool {
    guard let first = pattern.first, count >= pattern.count else { return false }
    var start = startIndex
    while let found = self[start...].firstIndex(of: first), found + pattern.count <= count {
      if self[found..<found + pattern.count].elementsEqual(pattern) { return true }
      start = found + 1
    }
    return false
  }
}
