extension Snapshot {
  /// `status` of a Snapshot. Sizes in bytes, times RFC 3339 in UTC.
  public struct Status: Sendable, Hashable {
    /// It is in its volume, whole, and not marked for removal.
    public var readyToUse: Bool
    /// Why it is not; empty where there is nothing to say.
    public var error: String
    public var creationTime: String?
    /// What its layer takes on its file system.
    public var size: Int64?
    /// Names of snapshots in the volume. The parent is empty for the oldest.
    public var parent: String
    public var children: [String]
    /// Deleted, but a layer above needs it still.
    public var markRemoved: Bool
    public var userCreated: Bool
    public var labels: [String: String]
    /// Id of the job that works for it, or did so last.
    public var job: String?

    public init(_ fields: [String: JSONValue]) {
      readyToUse = fields["readyToUse"]?.bool ?? false
      error = fields["error"]?.string ?? ""
      creationTime = fields["creationTime"]?.string
      size = fields["size"]?.int
      parent = fields["parent"]?.string ?? ""
      // Longhorn's is a map of names to true.
      children =
        fields["children"]?.array?.compactMap(\.string) ?? (fields["children"]?.object?.keys.sorted() ?? [])
      markRemoved = fields["markRemoved"]?.bool ?? false
      userCreated = fields["userCreated"]?.bool ?? false
      labels = (fields["labels"]?.object ?? [:]).compactMapValues(\.string)
      job = fields["job"]?.string
    }

    public init() { self.init([:]) }

    public var fields: [String: JSONValue] {
      present([
        "readyToUse": .bool(readyToUse), "error": error.isEmpty ? .null : .string(error),
        "creationTime": .of(creationTime), "size": .of(size), "parent": .string(parent),
        "children": .object(Dictionary(children.map { ($0, true) }, uniquingKeysWith: { first, _ in first })),
        "markRemoved": .bool(markRemoved), "userCreated": .bool(userCreated),
        "labels": .object(labels.mapValues { .string($0) }), "job": .of(job),
      ])
    }
  }
}
