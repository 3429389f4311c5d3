import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

extension EndToEnd {
  /// Plugins that are not ours, and stores that are not ours.
  @Suite struct PluginAndStoreTests {
    /// The fixture stores, written by Longhorn's own library, and what their image is.
    static let fixtureChecksum =
      "f3be6eca28f575f19132aca7cc5f34d815092b03fd6dddadf015e05d52cbcc8454a01ef000b4ccb1dd7aa351d92e0aa6894c193acf235002166c2b16bd8ca3a1"

    @Test(.timeLimit(.minutes(6)), arguments: ["lz4", "gzip", "none"])
    func aStoreOfLonghornsOwnIsRestored(method: String) throws {
      let host = try DroverHost()
      // A restore takes a lock, so it needs a copy that may be written.
      let copy = host.folder("store")
      try Folder.create(copy)
      try LonghornStore.copy(method, to: copy)
      let output = try host.apply(Manifest.restore("parrot", url: "vfs://\(copy)?backingImage=parrot"))
      #expect(output.code == 0, "\(output)")
      let status = try host.status("backingimage", "parrot")
      #expect(status["checksum"]?.string == Self.fixtureChecksum)
      #expect(try TestImage.sha512(of: #require(status["path"]?.string)) == Self.fixtureChecksum)
    }
  }
}
