extension Job.Kind {
  /// Whether the job changes its owner. Two such jobs never run for one resource at a time, and its deletion waits.
  public var writesOwner: Bool {
    switch self {
    case .download, .upload, .clone, .restore, .backup, .import, .deleteBackup: true
    case .save, .inspect, .probe, .sync, .verify, .gc: false
    }
  }

  /// Whether the job looks after a whole store. Of those that do, one at a time runs in a store.
  public var tendsStore: Bool { self == .verify || self == .gc }
}
