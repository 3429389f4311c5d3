/// What a verification found.
public struct VerificationReport: Sendable, Hashable {
  public var backups: [VerifiedBackup]
  /// Distinct blocks that backups name.
  public var blocks: UInt64
  /// Blocks that were read.
  public var readBlocks: UInt64
  /// Bytes of their objects.
  public var readBytes: UInt64
  /// Blocks that no backup names.
  public var unreferencedBlocks: UInt64
  /// Distinct blocks that are bad or missing.
  public var damagedBlocks: UInt64
  /// Bad blocks that were moved aside, so that the next backup of that data writes them again.
  public var asideBlocks: UInt64
  /// Why bad blocks were left where they are; nil where none had to be.
  public var repairProblem: String?

  public init() {
    backups = []
    (blocks, readBlocks, readBytes, unreferencedBlocks, damagedBlocks, asideBlocks) = (0, 0, 0, 0, 0, 0)
  }
}

/// What a verification found out about one backup.
public struct VerifiedBackup: Sendable, Hashable {
  public var pool: StorePool
  /// In the pool.
  public var name: String
  /// Without the target's options.
  public var url: String
  public var state: State
  /// Why it is in that state; empty where it is good.
  public var reason: String
  /// Of the config; 0 where it could not be read.
  public var blocks: UInt64
  /// Entries of the config whose blocks are bad or missing.
  public var damagedBlocks: UInt64
  /// Those of them whose block lies there, but is bad or of another length: backing up again takes it for present and
  /// writes nothing in its stead.
  public var damagedInPlace: UInt64
  /// The first of them, by offset.
  public var damage: [Damage]

  public enum State: String, Sendable, Hashable {
    /// Nothing wrong was found within the scope.
    case good
    /// A block is bad or missing.
    case damaged
    /// Of a volume: what a restore refuses for what it needs beside its own blocks, or for what it is.
    case unrestorable
    /// A stub: it is being made, or its maker died.
    case unfinished
    /// Its config can't be read or is none.
    case unreadable
    /// Another config is in its place than when the verification began: nothing is known of that one.
    case changed

    /// Whether it can't be restored as it is.
    public var isHarmed: Bool { self == .damaged || self == .unrestorable || self == .unreadable }
  }

  public struct Damage: Sendable, Hashable {
    /// In the image or volume, in bytes.
    public var offset: UInt64
    public var block: BlockName
    public var reason: String
  }

  /// Entries of `damage` at most.
  static let longestDamage = 100
}
