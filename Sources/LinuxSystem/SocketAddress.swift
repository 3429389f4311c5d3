import Glibc

/// The address of a unix socket: a path, or a name in the abstract space, written with a leading `@`.
struct SocketAddress {
  var address: sockaddr_un
  var length: socklen_t

  /// Nil where the name is empty or longer than the 107 bytes that the kernel takes.
  init?(_ name: String) {
    let bytes = Array(name.utf8)
    guard !bytes.isEmpty, bytes.count <= Self.longestName, !bytes.contains(0) else { return nil }
    let isAbstract = bytes[0] == UInt8(ascii: "@")
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    unsafe withUnsafeMutableBytes(of: &address.sun_path) { path in
      unsafe path.copyBytes(from: bytes)
      if isAbstract { unsafe path[0] = 0 }
    }
    self.address = address
    let header = MemoryLayout<sockaddr_un>.offset(of: \.sun_path)!
    length = socklen_t(header + bytes.count + (isAbstract ? 0 : 1))
  }

  static let longestName = 107

  mutating func withPointer<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
    unsafe withUnsafeBytes(of: &address) { bytes in
      unsafe body(bytes.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
    }
  }
}
