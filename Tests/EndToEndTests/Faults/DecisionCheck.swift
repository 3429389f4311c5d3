import DroverModel
import GRDB
import Testing

/// Looks whether each backup has the name and the labels that were decided, and whether each was decided once.
struct DecisionCheck {
  let host: DroverHost

  private struct Decision {
    var point: String
    var output: JSONValue
    var fallback: Bool

    init(_ json: JSONValue) {
      point = json["point"]?.string ?? ""
      output = json["output"] ?? .null
      fallback = json["fallback"]?.bool ?? true
    }
  }

  /// - Parameter images: Those that have a backup.
  /// - Returns: How many decisions were a policy's.
  func run(images: [String], note: String) throws -> Int {
    try checkCatalog(note)
    let objects = try host.run("get", "backupbackingimage", "-o", "json").json["items"]?.array ?? []
    let jobs = try host.run("job", "list", "-o", "json").json["items"]?.array ?? []
    var decided = 0
    for image in images {
      let own = objects.filter { $0["spec"]?["backingImage"]?.string == image }
      Findings.check(own.count == 1, "\(note): \(own.count) backups of \(image)")
      guard let object = own.first, let name = object["metadata"]?["name"]?.string else { continue }
      let makers = jobs.filter { $0["status"]?["owner"]?["name"]?.string == name && $0["status"]?["type"] == "backup" }
      Findings.check(makers.count == 1, "\(note): \(makers.count) jobs made \(name)")
      let decisions = (makers.first?["status"]?["decisions"]?.array ?? []).map(Decision.init)
      decided += decisions.count { !$0.fallback }
      checkName(name, of: image, decisions.filter { $0.point == "naming" }, note)
      try checkLabels(object, of: image, decisions.filter { $0.point == "labels" }, note)
    }
    return decided
  }

  /// Without a decision, since no script was there for it, the built-in name.
  private func checkName(_ name: String, of image: String, _ decisions: [Decision], _ note: String) {
    Findings.check(decisions.count <= 1, "\(note): \(decisions.count) decisions about the name \(name)")
    let decision = decisions.last { !$0.fallback }
    let wanted = decision?.output["name"]?.string ?? image
    Findings.check(name == wanted, "\(note): a backup is called \(name), and \(wanted) was decided")
  }

  private func checkLabels(_ object: JSONValue, of image: String, _ decisions: [Decision], _ note: String) throws {
    Findings.check(decisions.count <= 1, "\(note): \(decisions.count) decisions about the labels of \(image)")
    var wanted = ["usecase": "test", "type": "raw"]
    if let decision = decisions.last(where: { !$0.fallback }) {
      wanted["type"] = nil
      for (key, value) in decision.output["set"]?.object ?? [:] { wanted[key] = value.string }
      Findings.check(wanted["image"] == image, "\(note): the labels of \(image) were decided as \(wanted)")
    }
    let written = try HouseCheck.labels(of: image, in: host.store)
    Findings.check(
      written == wanted, "\(note): the backup of \(image) has the labels \(written ?? [:]), decided were \(wanted)")
    let shown = object["status"]?["labels"]?.object?.compactMapValues(\.string)
    Findings.check(shown == wanted, "\(note): \(image) shows the labels \(shown ?? [:]), decided were \(wanted)")
  }

  private func checkCatalog(_ note: String) throws {
    var configuration = GRDB.Configuration()
    configuration.readonly = true
    let catalog = try DatabaseQueue(path: "\(host.state)/catalog.sqlite", configuration: configuration)
    let twice = try catalog.read { database in
      try String.fetchAll(
        database,
        sql: """
          SELECT owner_uid || ' ' || ifnull(job, '-') || ' ' || point FROM hook_decision
          GROUP BY owner_uid, job, point HAVING count(*) > 1
          """)
    }
    Findings.check(twice == [], "\(note): decided more than once: \(twice)")
    try catalog.close()
  }
}
