import CryptoStage
import LinuxSystem
import StageKit
import TestKit
import Testing

@Suite struct RekeyTests {
  let new = Array("another\0passphrase\n".utf8)
  var secrets: [String: [UInt8]] { ["passphrase": passphrase, "new-passphrase": new] }

  func rekeyed(
    _ lower: any Device, jobFolder: String, attempt: Int = 1, params: String = fast
  ) throws -> (bytes: [UInt8], identity: String?) {
    try withDevice(
      RekeyStage.self, over: lower, params: "{\(params)}", secrets: secrets, attempt: attempt, jobFolder: jobFolder
    ) { device throws in
      let size = Int(try #require(try device.info().size))
      let first = try read(device, 5000, at: 0)
      let rest = try read(device, size - 5000, at: 5000)
      return (first + rest, try device.info().identity)
    }
  }

  @Test(arguments: [["--type", "luks2"] + fastOptions, ["--type", "luks1", "--pbkdf-force-iterations", "1000"]])
  func onlyTheNewPassphraseOpensTheSameBytes(_ options: [String]) throws {
    let folder = TemporaryFolder("rekey")
    let file = try OpenFile.open(folder("old"), .createNew(permissions: 0o600))
    try file.truncate(to: 18 << 20)
    try Cryptsetup.format(folder("old"), passphrase, options)
    try write(Array("third".utf8), to: folder("third"))
    try write(passphrase, to: folder("first"))
    try Cryptsetup.run(
      Cryptsetup.program!,
      [
        "-q", "luksAddKey", "--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", folder("first"),
        folder("old"), folder("third"),
      ])
    let before = try contents(folder("old"))
    let params = options.contains("luks2") ? fast : #""pbkdf": "pbkdf2", "pbkdfForceIterations": 1000"#
    let after = try rekeyed(MemoryDevice(before), jobFolder: folder.path, params: params).bytes
    #expect(after.count == before.count)
    try write(after, to: folder("new"))
    #expect(Cryptsetup.opens(folder("new"), new))
    #expect(!Cryptsetup.opens(folder("new"), passphrase) && !Cryptsetup.opens(folder("new"), Array("third".utf8)))
    #expect(try Cryptsetup.volumeKey(folder("new"), new) == Cryptsetup.volumeKey(folder("old"), passphrase))
    #expect(after[(17 << 20)...] == before[(17 << 20)...])
    let uuid = { try Cryptsetup.run(Cryptsetup.program!, ["luksUUID", $0]) }
    #expect(try uuid(folder("new")) == uuid(folder("old")))
    // Neither copy of the new header takes an old passphrase.
    if options.contains("luks2") {
      var damaged = after
      damaged.replaceSubrange(0..<4096, with: repeatElement(0, count: 4096))
      #expect(try decrypted(damaged, secret: new) == decrypted(before))
      #expect(try stageError { _ = try decrypted(damaged) }.code == "wrong-key")
    }
  }

  @Test func aLaterAttemptGoesOnWithTheSameHeader() throws {
    let folder = TemporaryFolder("rekey")
    let image = try encrypted(Array(noise[..<4096]))
    let first = try rekeyed(MemoryDevice(image), jobFolder: folder.path)
    let second = try rekeyed(MemoryDevice(image), jobFolder: folder.path, attempt: 2)
    #expect(first.bytes == second.bytes && first.identity == second.identity)
    // What can't be used is made anew, and has another identity.
    try write([1, 2, 3], to: folder("rekey.header"))
    let third = try rekeyed(MemoryDevice(image), jobFolder: folder.path, attempt: 3)
    #expect(third.identity != first.identity)
    #expect(try decrypted(third.bytes, secret: new) == Array(noise[..<4096]))
  }

  /// It would open the image, and its successors, to whoever learns the passphrase.
  @Test func theKeptHeaderGoesWithTheJob() throws {
    let folder = TemporaryFolder("rekey")
    _ = try rekeyed(MemoryDevice(try encrypted(Array(noise[..<4096]))), jobFolder: folder.path)
    #expect(try Folder.list(folder.path) == ["rekey.header"])
    let request = OpenRequest(
      role: .filter, writable: false, params: "{}", job: "j1", jobFolder: folder.path, attempt: 1)
    for _ in 0..<2 {
      try RekeyStage.discard(request, host: RecordingHost())
      #expect(try Folder.list(folder.path).isEmpty)
    }
  }

  @Test func whatLiesBehindTheHeaderIsOfferedToTheKernel() throws {
    final class Offering: Device {
      let bytes: MemoryDevice
      init(_ bytes: [UInt8]) { self.bytes = MemoryDevice(bytes) }
      func info() throws -> DeviceInfo { try bytes.info() }
      func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
        try bytes.read(into: buffer, at: offset)
      }
      func fileRange(offset: UInt64, length: UInt64) throws -> FileRange? { FileRange(descriptor: 77, offset: offset) }
    }
    let folder = TemporaryFolder("rekey")
    try withDevice(
      RekeyStage.self, over: Offering(try encrypted(Array(noise[..<4096]))), params: "{\(fast)}", secrets: secrets,
      jobFolder: folder.path
    ) { device throws in
      #expect(try device.fileRange(offset: 0, length: 4096) == nil)
      #expect(try device.fileRange(offset: (16 << 20) - 512, length: 1024) == nil)
      #expect(try device.fileRange(offset: 16 << 20, length: 4096)?.offset == 16 << 20)
      #expect(
        try device.extents(offset: 4096, length: 20 << 20)
          == [Extent(offset: 4096, length: (16 << 20) - 4096, kind: .data)])
    }
  }

  @Test func refusesWhatItCantReKey() throws {
    let image = try encrypted(Array(noise[..<4096]))
    func attempt(_ image: [UInt8], _ secrets: [String: [UInt8]]) throws -> StageError {
      try stageError {
        try withDevice(RekeyStage.self, over: MemoryDevice(image), params: "{\(fast)}", secrets: secrets) { _ in }
      }
    }
    #expect(try attempt(image, ["passphrase": [1], "new-passphrase": new]).code == "wrong-key")
    #expect(try attempt(image, ["passphrase": passphrase]).code == "key-missing")
    let plain = try attempt(Array(noise[..<8192]), secrets)
    #expect(plain.code == "conflict" && plain.message.contains("is not encrypted"))
  }
}
