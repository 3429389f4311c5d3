/// What became of a deletion.
public struct DeletionResult: Sendable, Hashable {
  /// Whether there was something of that name.
  public var existed: Bool
  /// Block objects that nothing refers to any more and that were removed.
  public var removedBlocks: Int
  /// Why unreferenced blocks were kept; nil where none had to be.
  public var kept: String?
}
