/// Who asks, as the kernel vouches for at the socket; goes into the event log. All nil is the daemon itself.
public struct Caller: Sendable, Hashable {
  public var uid: UInt32?
  public var gid: UInt32?
  public var pid: Int32?

  public init(uid: UInt32? = nil, gid: UInt32? = nil, pid: Int32? = nil) {
    self.uid = uid
    self.gid = gid
    self.pid = pid
  }

  public static let daemon = Caller()

  /// ` by uid 1000 (pid 4711)`, to be put behind a sentence; empty for the daemon itself.
  var suffix: String {
    guard let uid else { return "" }
    return " by uid \(uid)" + (pid.map { " (pid \($0))" } ?? "")
  }
}
