import DroverModel

/// Reads a job's log a page at a time, as fast as somebody asks.
actor JobLogReader {
  private let path: String
  private let after: Int
  private var offset = 0
  private var page: [LogLine] = []

  init(path: String, after: Int) {
    self.path = path
    self.after = after
  }

  /// Nil where nothing new is there now.
  func next() async throws -> LogLine? {
    if page.isEmpty {
      let (path, offset) = (path, offset)
      let (lines, end) = try await blocking { try JobLog.read(path, from: offset) }
      self.offset = end
      page = lines.filter { $0.line > after }.reversed()
    }
    return page.popLast()
  }
}

/// Reads the catalog's events a page at a time, as fast as somebody asks.
actor EventReader {
  private let catalog: any CatalogStore
  private var last: Int64
  private var page: [Event] = []

  init(catalog: any CatalogStore, after: Int64) {
    self.catalog = catalog
    last = after
  }

  /// Nil where nothing new is there now.
  func next() async throws -> Event? {
    if page.isEmpty {
      let (catalog, last) = (catalog, last)
      page = try await blocking { try catalog.events(after: last, limit: 500) }.reversed()
    }
    guard let event = page.popLast() else { return nil }
    last = event.seq
    return event
  }
}
