/// What a job will need, as its stages said before they touched anything. Sizes in bytes.
public struct JobPlan: Sendable, Hashable, Codable {
  /// Of what will be copied; nil if only opening can tell.
  public var size: Int64?
  public var dataSize: Int64?
  /// What must be free, per existing folder.
  public var space: [Space]
  /// For people.
  public var locks: [String]

  public init(size: Int64? = nil, dataSize: Int64? = nil, space: [Space] = [], locks: [String] = []) {
    self.size = size
    self.dataSize = dataSize
    self.space = space
    self.locks = locks
  }

  public struct Space: Sendable, Hashable, Codable {
    public var path: String
    public var bytes: Int64
    public init(path: String, bytes: Int64) {
      self.path = path
      self.bytes = bytes
    }
  }
}
