extension ResourceKind {
  /// The kind that a user meant: `bi`, `backingimage`, `backingimages` or `BackingImage`, in any case of letters.
  ///
  /// Throws `not-supported` for a kind that belongs to Drover but not to this version, `unknown-kind` for any other.
  public init(named name: String) throws(Fault) {
    let wanted = name.lowercased()
    if let kind = Self.allCases.first(where: { $0.names.contains(wanted) }) {
      self = kind
      return
    }
    if let later = LaterKind.allCases.first(where: { $0.names.contains(wanted) }) {
      throw Fault(
        .notSupported, "kind \(later.manifestName) is not supported by this version of Drover",
        hint: "it has \(Self.manifestNames.joined(separator: ", "))")
    }
    let known = Self.allCases.flatMap(\.names) + LaterKind.allCases.flatMap(\.names)
    let nearest = nearestName(to: wanted, among: known).map { "; did you mean \($0)?" } ?? ""
    throw Fault(
      .unknownKind, "unknown kind \"\(name)\"\(nearest)", hint: "kinds: \(Self.manifestNames.joined(separator: ", "))")
  }

  /// As in manifests: `BackingImage`.
  public var manifestName: String {
    switch self {
    case .backingImage: "BackingImage"
    case .backupBackingImage: "BackupBackingImage"
    case .backupTarget: "BackupTarget"
    case .volume: "Volume"
    case .snapshot: "Snapshot"
    case .backup: "Backup"
    case .secret: "Secret"
    case .job: "Job"
    }
  }

  /// As manifests have it: Secrets are Kubernetes' own.
  public var apiVersion: String { self == .secret ? "v1" : ResourceDocument.apiVersion }

  /// As in the API's paths: `backingimages`.
  public var plural: String { rawValue + "s" }

  public var shortName: String? {
    switch self {
    case .backingImage: "bi"
    case .backupBackingImage: "bbi"
    case .backupTarget: "bt"
    case .volume: "vol"
    case .snapshot: "snap"
    case .backup, .secret, .job: nil
    }
  }

  /// Every lower-case name that stands for it.
  public var names: [String] { [rawValue, plural] + (shortName.map { [$0] } ?? []) }

  static var manifestNames: [String] { allCases.map(\.manifestName) }
}

/// The kinds of docs/cli.md that this version does not have. They are told apart from a slip of the pen.
enum LaterKind: String, CaseIterable {
  case recurringjob

  var manifestName: String {
    switch self {
    case .recurringjob: "RecurringJob"
    }
  }

  var names: [String] {
    let short =
      switch self {
      case .recurringjob: ["rj"]
      }
    return [rawValue, rawValue + "s"] + short
  }
}
