/// What a lock is for. Locks of one type stand beside each other, those of two types exclude each other.
/// Source: longhorn-format, 6.
public enum LockType: UInt64, Sendable {
  /// Backup and restore.
  case use = 1
  case deletion = 2
}

/// A lock file's content. Its time is the file's own, as the server tells it.
struct LockRecord: Sendable, Hashable {
  var name: String
  /// See `LockType`; 0 is untyped. Other numbers are kept and conflict with everything else.
  var type: UInt64
  var isAcquired: Bool

  func encoded() -> [UInt8] {
    var output = Array(#"{"Name":"#.utf8)
    JSONText.append(name, to: &output)
    output.append(contentsOf: #","Type":"#.utf8)
    JSONText.append(type, to: &output)
    output.append(contentsOf: (isAcquired ? #","Acquired":true}"# : #","Acquired":false}"#).utf8)
    return output
  }

  init(name: String, type: UInt64, isAcquired: Bool) {
    self.name = name
    self.type = type
    self.isAcquired = isAcquired
  }

  /// Nil where the bytes are no lock record.
  init?(decoding bytes: [UInt8]) {
    var record = LockRecord(name: "", type: 0, isAcquired: false)
    let isRead = bytes.withUnsafeBytes { bytes in
      var reader = JSONReader(bytes)
      do throws(JSONReader.Failure) {
        try reader.object { (reader, key) throws(JSONReader.Failure) in
          if reader.null() { return }
          if key.matches("Name") {
            record.name = try reader.string()
          } else if key.matches("Type") {
            record.type = try reader.unsigned()
          } else if key.matches("Acquired") {
            record.isAcquired = try reader.boolean()
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
    self = record
  }
}
