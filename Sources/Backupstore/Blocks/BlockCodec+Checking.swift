import Compression

extension BlockCodec {
  /// Unpacks a block that must fill `output`. Nil: it does, with the content that its name says. Else why not.
  func unpack(
    _ stored: UnsafeRawBufferPointer, as name: BlockName, into output: UnsafeMutableRawBufferPointer
  ) -> String? {
    switch unpack(stored, as: name, atMost: output) {
    case .success(output.count): nil
    case .success(let length): "it has \(length) bytes instead of \(output.count)"
    case .failure(let flaw): flaw.reason
    }
  }

  /// Unpacks a block of whatever length into the beginning of `output`, and tells its length, if the content is what its
  /// name says.
  func unpack(
    _ stored: UnsafeRawBufferPointer, as name: BlockName, atMost output: UnsafeMutableRawBufferPointer
  ) -> Result<Int, BlockFlaw> {
    var flaw: BlockFlaw?
    // The pool is shared by backups of all methods, so the bytes decide. A raw block may begin like a packed one.
    let sniffed = CompressionMethod.sniff(stored)
    for method in sniffed == .none ? [.none] : [sniffed, .none] {
      do throws(CompressionError) {
        let length = try unpack(stored, method, into: output)
        let content = UnsafeRawBufferPointer(rebasing: output[..<length])
        if length > 0, BlockName(of: content) == name { return .success(length) }
        flaw =
          flaw
          ?? BlockFlaw(
            reason: length == 0 ? "it is empty" : "its content of \(length) bytes has another SHA-512")
      } catch {
        flaw = flaw ?? BlockFlaw(reason: "\(error)")
      }
    }
    return .failure(flaw!)
  }
}

/// Why the stored bytes are not the block.
struct BlockFlaw: Error, Hashable { var reason: String }
