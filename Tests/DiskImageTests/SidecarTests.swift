import DiskImage
import Foundation
import LinuxSystem
import TestKit
import Testing

/// A finished image of 3 MiB with both sidecars, in a folder of its own.
struct SampleImage {
  let folder = TemporaryFolder("image")
  var path: String { folder("backing") }
  let content: [UInt8]
  let checksum: String
  let hashes: [UInt8]

  init(size: Int = 3 << 20, seed: UInt64 = 1) throws {
    var noise = Noise(seed: seed)
    content = noise.bytes(size)
    checksum = sha512(content)
    hashes = blockHashes(content)
    try Folder.writeDurably(folder("backing"), content)
    try writeSidecars()
  }

  func writeSidecars() throws {
    let file = try OpenFile.open(path, .read)
    try #require(BlockHashList(imageSize: UInt64(content.count), checksum: checksum, hashes: hashes))
      .write(beside: path)
    try ImageSidecar(
      path: path, uuid: "0a1b2c3d", description: try ImageDescription.of(file), status: try file.status(),
      expectedChecksum: nil, checksum: checksum
    ).write(beside: path)
  }

  func trustedChecksum() throws -> String? {
    try ImageSidecar.read(of: path)?.checksum(trustedFor: OpenFile.open(path, .read).status())
  }

  func trustedHashes() throws -> [UInt8]? {
    try BlockHashList.read(of: path, size: UInt64(content.count), checksum: checksum)?.hashes
  }

  func editSidecar(_ body: (inout [String: Any]) -> Void) throws {
    var keys = try object(Folder.readFile(path + ".cfg", limit: 4096))
    body(&keys)
    try Folder.writeDurably(path + ".cfg", Array(try JSONSerialization.data(withJSONObject: keys)))
  }
}

@Test func aSidecarIsTrustedWhileTheFileStaysAsItIs() throws {
  let image = try SampleImage()
  #expect(try image.trustedChecksum() == image.checksum)
  #expect(try image.trustedHashes() == image.hashes)
}

@Test func theSidecarHasLonghornsKeys() throws {
  let image = try SampleImage()
  let keys = try object(Folder.readFile(image.path + ".cfg", limit: 4096))
  let status = try OpenFile.open(image.path, .read).status()
  #expect(keys["name"] as? String == image.path)
  #expect(keys["uuid"] as? String == "0a1b2c3d")
  #expect(keys["size"] as? Int == 3 << 20)
  #expect(keys["virtualSize"] as? Int == 3 << 20)
  #expect(keys["realSize"] as? Int == Int(status.allocatedBytes))
  #expect(keys["expectedChecksum"] as? String == "")
  #expect(keys["currentChecksum"] as? String == image.checksum)
  #expect(keys["modificationTime"] as? String == goTime(nanoseconds: status.modifiedNanoseconds))
}

@Test func aTimeThatWasSetBackIsNoticed() throws {
  let image = try SampleImage()
  let file = try OpenFile.open(image.path, .readWrite)
  let before = try file.status()
  try [0xFF].withUnsafeBytes { try file.write($0, at: 100) }
  let time = timespec(
    tv_sec: Int(before.modifiedNanoseconds / 1_000_000_000), tv_nsec: Int(before.modifiedNanoseconds % 1_000_000_000))
  #expect(futimens(file.descriptor, [time, time]) == 0)
  #expect(try file.status().modifiedNanoseconds == before.modifiedNanoseconds)
  #expect(try image.trustedChecksum() == nil)
}

@Test func aCopyOfTheFolderIsNotTrusted() throws {
  let image = try SampleImage()
  let copy = TemporaryFolder("copy")
  try run("/bin/cp", ["-p", image.path, image.path + ".cfg", image.path + ".blocks", copy.path])
  let sidecar = try #require(try ImageSidecar.read(of: copy("backing")))
  #expect(try sidecar.checksum(trustedFor: OpenFile.open(copy("backing"), .read).status()) == nil)
}

@Test func aRenamedFolderIsTrusted() throws {
  let image = try SampleImage()
  try Folder.create(image.folder("a"))
  for name in ["backing", "backing.blocks"] {
    #expect(link(image.folder(name), image.folder("a/\(name)")) == 0)
  }
  // The link has changed the time of change, so the sidecar is written anew; the folder's rename does not change it.
  try image.writeSidecars()
  try Folder.rename(image.path + ".cfg", image.folder("a/backing.cfg"))
  try Folder.rename(image.folder("a"), image.folder("b"))
  let sidecar = try #require(try ImageSidecar.read(of: image.folder("b/backing")))
  #expect(try sidecar.checksum(trustedFor: OpenFile.open(image.folder("b/backing"), .read).status()) != nil)
}

@Test func aSidecarOfLonghornsOwnIsReadButNotTrusted() throws {
  let image = try SampleImage()
  try image.editSidecar { keys in for key in keys.keys where key.hasPrefix("drover") { keys[key] = nil } }
  #expect(try ImageSidecar.read(of: image.path)?.uuid == "0a1b2c3d")
  #expect(try image.trustedChecksum() == nil)
}

@Test(arguments: ["", "no digits", String(repeating: "a", count: 127), String(repeating: "g", count: 128)])
func aChecksumThatIsNoneIsNotTrusted(checksum: String) throws {
  let image = try SampleImage()
  try image.editSidecar { $0["currentChecksum"] = checksum }
  #expect(try image.trustedChecksum() == nil)
}

@Test func aSidecarCutAnywhereIsNone() throws {
  let image = try SampleImage(size: 4096)
  let whole = try Folder.readFile(image.path + ".cfg", limit: 4096)
  for length in 0..<whole.count {
    let file = try OpenFile.open(image.path + ".cfg", .readWrite)
    try file.truncate(to: UInt64(length))
    #expect(try ImageSidecar.read(of: image.path) == nil, "\(length) bytes")
    try file.truncate(to: 0)
    try whole.withUnsafeBytes { try file.write($0, at: 0) }
  }
  #expect(try ImageSidecar.read(of: image.path) != nil)
}

@Test func whatIsNoSidecarIsNone() throws {
  let image = try SampleImage(size: 4096)
  for text in ["[]", "null", "{}", #"{"name": 1}"#, String(repeating: " ", count: 70000) + "{}"] {
    try Folder.writeDurably(image.path + ".cfg", Array(text.utf8))
    #expect(try ImageSidecar.read(of: image.path) == nil)
  }
  try Folder.remove(file: image.path + ".cfg")
  #expect(try ImageSidecar.read(of: image.path) == nil)
  try Folder.create(image.path + ".cfg")
  #expect(try ImageSidecar.read(of: image.path) == nil)
}

@Test func aListOfBlockHashesWithAnyByteChangedIsNone() throws {
  let image = try SampleImage()
  let path = image.path + ".blocks"
  let length = try Folder.readFile(path, limit: 4096).count
  let file = try OpenFile.open(path, .readWrite)
  for offset in 0..<length {
    var byte: [UInt8] = [0]
    _ = try byte.withUnsafeMutableBytes { try file.read(into: $0, at: UInt64(offset)) }
    try [byte[0] ^ 0x10].withUnsafeBytes { try file.write($0, at: UInt64(offset)) }
    #expect(try image.trustedHashes() == nil, "byte \(offset)")
    try byte.withUnsafeBytes { try file.write($0, at: UInt64(offset)) }
  }
  #expect(try image.trustedHashes() == image.hashes)
  try file.truncate(to: UInt64(length - 1))
  #expect(try image.trustedHashes() == nil)
}

@Test func aListOfBlockHashesBelongsToOneContent() throws {
  let image = try SampleImage()
  let other = sha512([1])
  #expect(try BlockHashList.read(of: image.path, size: 3 << 20, checksum: other) == nil)
  #expect(try BlockHashList.read(of: image.path, size: 4 << 20, checksum: image.checksum) == nil)
  #expect(try BlockHashList.read(of: image.path, size: 8 << 20, checksum: image.checksum) == nil)
}

@Test func aListNeedsOneHashForEachBlock() {
  let checksum = sha512([])
  #expect(BlockHashList(imageSize: 2 << 20, checksum: checksum, hashes: .init(repeating: 1, count: 32)) != nil)
  #expect(BlockHashList(imageSize: 2 << 20 + 512, checksum: checksum, hashes: .init(repeating: 1, count: 32)) == nil)
  #expect(BlockHashList(imageSize: 2 << 20, checksum: checksum, hashes: .init(repeating: 1, count: 33)) == nil)
  #expect(BlockHashList(imageSize: 2 << 20, checksum: "ab", hashes: .init(repeating: 1, count: 32)) == nil)
}
