import Curl
import StageKit

extension Server {
  /// Nil when the answer says nothing, or nothing that can be true of an image: many servers don't do HEAD well.
  func sizeByHead(patience: Double) throws -> UInt64? {
    do {
      let head = try head(of: ask(.head, range: nil, condition: nil, patience: patience))
      guard head.status == 200, let size = head.contentLength, size > 0, size.isMultiple(of: 512) else { return nil }
      return size
    } catch let error as StageError where error.code != "cancelled" && error.code != "stalled" {
      return nil
    }
  }

  func sizeByGet(patience: Double) throws -> UInt64? {
    let size = try content(from: 0, of: nil, patience: patience).version.size
    if let size, !size.isMultiple(of: 512) { throw StageError.badSize(size, address) }
    return size
  }
}
