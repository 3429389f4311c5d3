extension BackupTarget {
  /// `status` of a BackupTarget. Times RFC 3339 in UTC.
  public struct Status: Sendable, Hashable {
    public var available: Bool
    public var conditions: [Condition]
    public var lastSyncedAt: String?
    public var verification: Verification

    public init(
      available: Bool = false, conditions: [Condition] = [], lastSyncedAt: String? = nil,
      verification: Verification = Verification()
    ) {
      self.available = available
      self.conditions = conditions
      self.lastSyncedAt = lastSyncedAt
      self.verification = verification
    }

    public init(_ fields: [String: JSONValue]) {
      available = fields["available"]?.bool ?? false
      conditions = (fields["conditions"]?.array ?? []).compactMap { $0.object.map(Condition.init) }
      lastSyncedAt = fields["lastSyncedAt"]?.string
      verification = Verification(fields["verification"]?.object ?? [:])
    }

    public var fields: [String: JSONValue] {
      present([
        "available": .bool(available), "conditions": .array(conditions.map { .object($0.fields) }),
        "lastSyncedAt": .of(lastSyncedAt),
        "verification": verification == Verification() ? .null : .object(verification.fields),
      ])
    }

    /// How far the store's blocks have been read. A round is done when each was read once since its beginning.
    public struct Verification: Sendable, Hashable {
      /// Where the next part of the round begins, by the first sixteen digits of a block's name; nil: no round is under way.
      public var cursor: String?
      /// Of the round that is under way.
      public var roundStartedAt: String?
      /// When a part was read last.
      public var lastRunAt: String?
      /// When everything had been read once.
      public var lastCompletedAt: String?
      /// Backups that the last verification found damaged or could not read.
      public var damagedBackups: Int64?

      public init() {}

      init(_ fields: [String: JSONValue]) {
        cursor = fields["cursor"]?.string
        roundStartedAt = fields["roundStartedAt"]?.string
        lastRunAt = fields["lastRunAt"]?.string
        lastCompletedAt = fields["lastCompletedAt"]?.string
        damagedBackups = fields["damagedBackups"]?.int
      }

      var fields: [String: JSONValue] {
        present([
          "cursor": .of(cursor), "roundStartedAt": .of(roundStartedAt), "lastRunAt": .of(lastRunAt),
          "lastCompletedAt": .of(lastCompletedAt), "damagedBackups": .of(damagedBackups),
        ])
      }

      /// The part of that share which comes next.
      public func next(share: Double) -> NameSlice {
        NameSlice(start: cursor.flatMap { UInt64($0, radix: 16) } ?? 0, share: share)
      }
    }

    /// Longhorn's only one has the type `Unavailable`; `status` True means that the store can't be used.
    public struct Condition: Sendable, Hashable {
      public var type: String
      public var status: Bool
      /// The code of the fault.
      public var reason: String
      public var message: String
      public var lastProbeTime: String?
      public var lastTransitionTime: String?

      public init(
        type: String = "Unavailable", status: Bool, reason: String = "", message: String = "",
        lastProbeTime: String? = nil, lastTransitionTime: String? = nil
      ) {
        self.type = type
        self.status = status
        self.reason = reason
        self.message = message
        self.lastProbeTime = lastProbeTime
        self.lastTransitionTime = lastTransitionTime
      }

      init(_ fields: [String: JSONValue]) {
        self.init(
          type: fields["type"]?.string ?? "", status: fields["status"]?.string == "True",
          reason: fields["reason"]?.string ?? "", message: fields["message"]?.string ?? "",
          lastProbeTime: fields["lastProbeTime"]?.string, lastTransitionTime: fields["lastTransitionTime"]?.string)
      }

      var fields: [String: JSONValue] {
        present([
          "type": .string(type), "status": .string(status ? "True" : "False"), "reason": .string(reason),
          "message": .string(message), "lastProbeTime": .of(lastProbeTime),
          "lastTransitionTime": .of(lastTransitionTime),
        ])
      }
    }
  }
}
