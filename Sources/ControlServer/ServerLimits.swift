/// What one client may take of the daemon. All times are in seconds.
public struct ServerLimits: Sendable, Hashable {
  /// For a whole request head, and for a connection without a request.
  public var headSeconds: Double = 30
  /// For a whole JSON body, and for a pause inside it.
  public var bodySeconds: Double = 30
  /// For a client that doesn't take what is sent to it.
  public var writeSeconds: Double = 60
  /// For a pause of the client inside an image's content, in either direction.
  public var contentSeconds: Double = 600
  /// After a refusal: how long the rest of the request is read and dropped, so that the client gets to the answer.
  public var lingerSeconds: Double = 2
  /// After the stop was asked for: how long answers under way may take.
  public var drainSeconds: Double = 5
  /// The request line and all header fields, in bytes.
  public var headBytes = 128 * 1024
  public var headerFieldBytes = 16 * 1024
  public var headerFields = 100
  /// A JSON body, in bytes.
  public var bodyBytes = 1024 * 1024
  /// On each of the two sockets; more wait in the kernel's queue until one ends.
  public var connections = 256

  public init() {}

  /// The daemon itself must never be without a descriptor: what runs its tasks ends the process where one can't be opened.
  /// - Parameters:
  ///   - descriptors: What the process may have open.
  ///   - jobs: How many may run at once.
  public init(descriptors: Int, jobs: Int) {
    let rest = descriptors - Self.ownDescriptors - jobs * Self.descriptorsOfJob
    connections = max(4, min(connections, rest / 2))
  }

  /// Sockets, catalog, event loops and timers: 28, and some for what is opened for a moment.
  private static let ownDescriptors = 40
  /// Channel, log, and both ends of what its worker is given.
  private static let descriptorsOfJob = 4
}
