/// What a later attempt must know beside the journal. It travels as the checkpoint's token.
struct BackupCheckpoint: Sendable, Hashable {
  var name: String
  var size: UInt64
  /// Everything below it is in the store.
  var offset: UInt64
  var createdTime: String
  var uploadedBytes: UInt64

  func encoded() -> [UInt8] {
    var output = Array(#"{"name":"#.utf8)
    JSONText.append(name, to: &output)
    for (key, value) in [("size", size), ("offset", offset), ("uploaded", uploadedBytes)] {
      output.append(contentsOf: ",\"\(key)\":\(value)".utf8)
    }
    output.append(contentsOf: #","created":"#.utf8)
    JSONText.append(createdTime, to: &output)
    output.append(UInt8(ascii: "}"))
    return output
  }
}

extension BackupCheckpoint {
  /// Nil where the bytes are no such token.
  init?(decoding bytes: [UInt8]) {
    var point = BackupCheckpoint(name: "", size: 0, offset: 0, createdTime: "", uploadedBytes: 0)
    let isRead = bytes.withUnsafeBytes { bytes in
      var reader = JSONReader(bytes)
      do throws(JSONReader.Failure) {
        try reader.object { (reader, key) throws(JSONReader.Failure) in
          if key.matches("name") {
            point.name = try reader.string()
          } else if key.matches("size") {
            point.size = try reader.unsigned()
          } else if key.matches("offset") {
            point.offset = try reader.unsigned()
          } else if key.matches("uploaded") {
            point.uploadedBytes = try reader.unsigned()
          } else if key.matches("created") {
            point.createdTime = try reader.string()
          } else {
            try reader.skip()
          }
        }
        return true
      } catch {
        return false
      }
    }
    guard isRead else { return nil }
    self = point
  }
}
