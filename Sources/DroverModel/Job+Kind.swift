extension Job.Kind {
  /// Whether the job changes its owner. Two such jobs never run for one resource at a time, and its deletion waits.
  public var writesOwner: Bool {
    switch self {
    case .download, .upload, .clone, .restore, .backup, .import, .deleteBackup, .export: true
    case .createVolume, .deleteVolume, .snapshot, .revert, .deleteSnapshot: true
    case .save, .inspect, .probe, .sync, .verify, .gc: false
    }
  }

  /// Whether the job removes its owner: what is not there any more is removed.
  public var removesOwner: Bool { self == .deleteBackup || self == .deleteVolume || self == .deleteSnapshot }

  /// Whether the job changes the layers of a volume: nothing else works on that meanwhile.
  public var changesVolume: Bool {
    switch self {
    case .createVolume, .deleteVolume, .snapshot, .revert, .deleteSnapshot: true
    default: false
    }
  }

  /// Whether the job looks after a whole store. Of those that do, one at a time runs in a store.
  public var tendsStore: Bool { self == .verify || self == .gc }
}
