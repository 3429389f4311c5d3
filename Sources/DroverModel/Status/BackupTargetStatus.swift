extension BackupTarget {
  /// `status` of a BackupTarget. Times RFC 3339 in UTC.
  public struct Status: Sendable, Hashable {
    public var available: Bool
    public var conditions: [Condition]
    public var lastSyncedAt: String?

    public init(available: Bool = false, conditions: [Condition] = [], lastSyncedAt: String? = nil) {
      self.available = available
      self.conditions = conditions
      self.lastSyncedAt = lastSyncedAt
    }

    public init(_ fields: [String: JSONValue]) {
      available = fields["available"]?.bool ?? false
      conditions = (fields["conditions"]?.array ?? []).compactMap { $0.object.map(Condition.init) }
      lastSyncedAt = fields["lastSyncedAt"]?.string
    }

    public var fields: [String: JSONValue] {
      present([
        "available": .bool(available), "conditions": .array(conditions.map { .object($0.fields) }),
        "lastSyncedAt": .of(lastSyncedAt),
      ])
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
