/// What somebody wants done with a whole store: reading it in place, or removing what no backup in it needs.
public enum StoreTending: Sendable, Hashable {
  /// Reads at most so many bytes of objects a second; nil: as fast as it goes.
  case verify(Scope, repair: Bool, bytesPerSecond: Double? = nil)
  case gc(dryRun: Bool)

  /// How much of the store is read.
  public enum Scope: Sendable, Hashable {
    /// Configs, and the names of blocks.
    case structure
    /// And that share of all blocks, in 0...1: those that come next, so that runs cover everything in turn.
    case sample(Double)
    /// And all blocks.
    case all
  }

  public var kind: Job.Kind {
    switch self {
    case .verify: .verify
    case .gc: .gc
    }
  }
}

extension StoreTending {
  /// As the job's pipeline keeps it. The part of a sample is chosen when the job starts: see `params(next:)`.
  public var params: [String: JSONValue] {
    switch self {
    case .verify(let scope, let repair, let bytesPerSecond):
      var params = scope.params
      params["repair"] = .bool(repair)
      params["bytesPerSecond"] = bytesPerSecond.map { .double($0) }
      return params
    case .gc(let dryRun): return ["dryRun": .bool(dryRun)]
    }
  }

  /// Nil where the parameters are not those of a job of that kind.
  public init?(_ kind: Job.Kind, _ params: [String: JSONValue]) {
    switch kind {
    case .gc: self = .gc(dryRun: params["dryRun"]?.bool ?? false)
    case .verify:
      guard let scope = Scope(params) else { return nil }
      self = .verify(
        scope, repair: params["repair"]?.bool ?? true, bytesPerSecond: params["bytesPerSecond"]?.number)
    default: return nil
    }
  }

  /// What the request's body asks for; see docs/openapi.yaml. Throws `invalid`.
  public init(_ kind: Job.Kind, request: [String: JSONValue]) throws(Fault) {
    let known = kind == .gc ? ["dryRun"] : ["sample", "all", "dryRun", "bytesPerSecond"]
    if let unknown = request.keys.sorted().first(where: { !known.contains($0) }) {
      throw Fault(
        .invalid, "the request's body has an unknown member \"\(ResourceName.printable(unknown))\"",
        hint: "there are \(known.joined(separator: ", "))")
    }
    for flag in ["all", "dryRun"] where request[flag].map({ !$0.isNull && $0.bool == nil }) ?? false {
      throw Fault(.invalid, "the request's \(flag) must be true or false")
    }
    let dryRun = request["dryRun"]?.bool ?? false
    if kind == .gc {
      self = .gc(dryRun: dryRun)
      return
    }
    var rate: Double?
    if let value = request["bytesPerSecond"], !value.isNull {
      guard let number = value.number, number >= 1 else {
        throw Fault(.invalid, "the request's bytesPerSecond must be a number of bytes, at least 1")
      }
      rate = number
    }
    let all = request["all"]?.bool ?? false
    guard let sample = request["sample"], !sample.isNull else {
      self = .verify(all ? .all : .structure, repair: !dryRun, bytesPerSecond: rate)
      return
    }
    guard let percent = sample.number, percent > 0, percent <= 100, !all else {
      throw Fault(.invalid, "the request's sample must be more than 0 and at most 100, and stands without all")
    }
    self = .verify(.sample(percent / 100), repair: !dryRun, bytesPerSecond: rate)
  }
}

extension StoreTending.Scope {
  fileprivate var params: [String: JSONValue] {
    switch self {
    case .structure: ["scope": "structure"]
    case .sample(let share): ["scope": "slice", "share": .double(share)]
    case .all: ["scope": "all"]
    }
  }

  fileprivate init?(_ params: [String: JSONValue]) {
    switch params["scope"]?.string {
    case "structure": self = .structure
    case "slice": self = .sample(params["share"]?.number ?? 1)
    case "all": self = .all
    default: return nil
    }
  }
}
