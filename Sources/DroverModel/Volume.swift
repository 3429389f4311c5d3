/// A virtual disk that Drover keeps, alone or over a backing image: Longhorn's Volume.
public enum Volume {
  /// `restoring` is Drover's own; the others are Longhorn's words.
  public enum State: String, Sendable, Codable, CaseIterable {
    case creating, restoring, detached, attaching, attached, detaching, deleting
  }

  /// Longhorn's words; `degraded` does not occur on one host.
  public enum Robustness: String, Sendable, Codable, CaseIterable {
    case healthy, faulted, unknown
  }

  /// A volume's size is a multiple of it, whatever was asked for. Source: longhorn-format, 4.2.
  public static let sizeUnit: Int64 = 2 << 20
  /// What an encrypted volume has before the bytes that its guest sees. Source: longhorn-format, 8.6.
  public static let headerSize: Int64 = 16 << 20
  /// The largest that is taken: an ext4 file can't be longer.
  public static let largestSize: Int64 = 16 << 40
  /// Layers of a chain, the head among them. Source: longhorn-format, 14.2.
  public static let longestChain = 250
}

/// A frozen state of a volume: Longhorn's Snapshot.
public enum Snapshot {}
