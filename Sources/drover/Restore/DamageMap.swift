import ControlAPI
import DroverModel
import LinuxSystem

/// What of a disk is lost, in the file that says so. Source: docs/cli.md, "--salvage".
struct DamageMap: Encodable {
  /// Bytes of the disk.
  var size: Int64?
  var lostBytes: Int64 { lost.reduce(0) { $0 + $1.length } }
  /// Ascending.
  private(set) var lost: [Loss] = []

  struct Loss: Encodable, Hashable {
    var offset: Int64
    var length: Int64
    /// The block's name, 64 hexadecimal digits; empty where it is not one block's fault.
    var block: String
    var reason: String
    var end: Int64 { offset + length }
  }

  /// Bytes of the longest range that one block of an image's file is.
  private static let blockSize: Int64 = 2 << 20

  /// Takes a record of kind `damage`.
  mutating func add(_ record: JSONValue) throws(Fault) {
    guard let offset = record["offset"]?.int, let length = record["length"]?.int, let block = record["block"]?.string,
      let reason = record["reason"]?.string
    else { throw Fault(.pluginMisbehaved, "stage restore told of a loss in words that are not known") }
    let loss = Loss(offset: offset, length: length, block: block, reason: reason)
    // They come nearly in order.
    let index = (lost.lastIndex { $0.offset <= offset } ?? -1) + 1
    // Another attempt may tell of it once more.
    if index > 0, lost[index - 1].end >= loss.end { return }
    lost.insert(loss, at: index)
    join(at: index + 1)
    join(at: index)
  }

  /// Pieces of one block that were read one by one are one entry.
  private mutating func join(at index: Int) {
    guard index > 0, index < lost.count else { return }
    let (left, right) = (lost[index - 1], lost[index])
    guard left.end == right.offset, left.block == right.block, left.reason == right.reason,
      left.block.isEmpty || left.length + right.length <= Self.blockSize
    else { return }
    lost[index - 1].length += right.length
    lost.remove(at: index)
  }

  func write(to path: String) throws(Fault) {
    do throws(SystemError) {
      let text: String
      do { text = try APIJSON.encode(self) } catch { throw SystemError("encode", path: path, errno: 22) }
      try Folder.writeDurably(path, Array((text + "\n").utf8))
    } catch {
      throw Fault(error.isNoSpace ? .noSpace : .io, "writing the damage map \(path): \(error)", retry: .never)
    }
  }

  private enum CodingKeys: CodingKey { case size, lostBytes, lost }

  func encode(to encoder: any Encoder) throws {
    var members = encoder.container(keyedBy: CodingKeys.self)
    try members.encodeIfPresent(size, forKey: .size)
    try members.encode(lostBytes, forKey: .lostBytes)
    try members.encode(lost, forKey: .lost)
  }
}
