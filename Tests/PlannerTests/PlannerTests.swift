import DroverModel
import Planner
import Testing

private let checksum = String(repeating: "ab", count: 64)
private let otherChecksum = String(repeating: "cd", count: 64)

private func ready(_ checksum: String? = checksum) -> Facts.ImageFacts {
  .init(state: .ready, uuid: "11111111", path: "/state/images/parrot-11111111/backing", checksum: checksum, size: 512)
}

private let store = TargetURL(folder: "/state/store")
private let usb = TargetURL(folder: "/mnt/usb")
private let facts = Facts(
  stateFolder: "/state",
  images: [
    "parrot": ready(),
    "unready": .init(state: .inProgress, uuid: "22222222"),
    "broken": .init(state: .failed, message: "no space", uuid: "33333333"),
    "sealed": .init(
      state: .ready, uuid: "44444444", path: "/state/images/sealed-44444444/backing", checksum: otherChecksum,
      encrypted: true, secret: "key", secretNamespace: "ns"),
  ],
  backups: [
    "done": .init(image: "parrot", targetName: "default", state: .completed),
    "running": .init(image: "unready", targetName: "default", state: .inProgress),
  ],
  targets: ["default": store, "usb": usb])

private func newImage(_ name: String, _ expected: String? = nil) -> Pipeline.Stage {
  var params: [String: JSONValue] = [
    "folder": .string("/state/images/\(name)-0badcafe"), "name": .string(name), "uuid": "0badcafe",
  ]
  if let expected { params["expectedChecksum"] = .string(expected) }
  return Pipeline.Stage("clone", .sink, params)
}

private let parrotFile = Pipeline.Stage(
  "clone", .source, ["path": "/state/images/parrot-11111111/backing", "view": "file"])

private func fault<T>(_ body: () throws(Fault) -> T) -> Fault? {
  do {
    _ = try body()
    return nil
  } catch {
    return error
  }
}

private func plan(_ source: BackingImage.Source, checksum: String? = nil) throws(Fault) -> Plan {
  try Planner(facts).plan(image: "new", uuid: "0badcafe", spec: .init(source: source, checksum: checksum))
}

private func restore(_ url: String, _ limit: Int? = nil, target: String? = nil) throws(Fault) -> BackingImage.Source {
  .restore(backup: try ImageBackupURL(url), concurrency: limit, targetName: target)
}

@Suite struct ImagePlanTests {
  private static let owner = ResourceKey(.backingImage, "new")

  struct Row: Sendable, CustomTestStringConvertible {
    var testDescription: String
    var source: BackingImage.Source
    var checksum: String?
    var plan: Plan
  }

  private static func rows() throws -> [Row] {
    [
      Row(
        testDescription: "download", source: .download(parameters: ["url": "http://h/x"]), checksum: checksum,
        plan: .job(
          .init(
            kind: .download, owner: owner,
            pipeline: .init(
              from: [.init("download", .source, ["url": "http://h/x"])], to: [newImage("new", checksum)],
              expectedChecksum: checksum)))),
      Row(
        testDescription: "upload", source: .upload,
        plan: .awaitingContent(reason: "waiting for the content: PUT /v1/backingimages/new/content")),
      Row(
        testDescription: "clone", source: .clone(image: "parrot"),
        plan: .job(
          .init(
            kind: .clone, owner: owner, reads: [ResourceKey(.backingImage, "parrot")],
            pipeline: .init(from: [parrotFile], to: [newImage("new")], expectedChecksum: checksum)))),
      Row(
        testDescription: "clone that waits for its source", source: .clone(image: "unready"),
        plan: .waiting(
          for: ResourceKey(.backingImage, "unready"),
          reason: "waiting for backingimage/unready, which is in-progress")),
      Row(
        testDescription: "restore of a known backup",
        source: try restore("file:///state/store?backingImage=parrot", 2),
        plan: .job(
          .init(
            kind: .restore, owner: owner, reads: [ResourceKey(.backupBackingImage, "done")],
            pipeline: .init(
              from: [.init("restore", .source, ["url": "file:///state/store?backingImage=parrot"])],
              to: [newImage("new")], concurrency: 2), target: "default"))),
      Row(
        testDescription: "restore that waits for its backup",
        source: try restore("vfs:///state/store?backingImage=unready"),
        plan: .waiting(
          for: ResourceKey(.backupBackingImage, "running"),
          reason: "waiting for backupbackingimage/running, which is not complete yet")),
      Row(
        testDescription: "restore from a store that nobody named", source: try restore("file:///else?backingImage=ab"),
        plan: .job(
          .init(
            kind: .restore, owner: owner,
            pipeline: .init(
              from: [.init("restore", .source, ["url": "file:///else?backingImage=ab"])], to: [newImage("new")])))),
      Row(
        testDescription: "a plugin's source", source: .stage(name: "noise", parameters: ["seed": "7"]),
        plan: .job(
          .init(
            kind: .import, owner: owner,
            pipeline: .init(from: [.init("noise", .source, ["seed": "7"])], to: [newImage("new")])))),
    ]
  }

  @Test func table() throws {
    for row in try Self.rows() {
      #expect(try plan(row.source, checksum: row.checksum) == row.plan, "\(row.testDescription)")
    }
  }

  @Test func filtersSitOverTheSource() throws {
    let spec = BackingImage.Spec(
      source: .clone(image: "parrot"), filters: [.init(stage: "low", params: ["n": 1]), .init(stage: "high")])
    guard case .job(let job) = try Planner(facts).plan(image: "new", uuid: "0badcafe", spec: spec) else {
      return #expect(Bool(false), "no job")
    }
    #expect(job.pipeline.from == [parrotFile, .init("low", .filter, ["n": 1]), .init("high", .filter)])
    #expect(job.inherited.isEmpty)
  }

  @Test func aCloneInheritsTheNameOfTheSecret() throws {
    guard case .job(let job) = try plan(.clone(image: "sealed")) else { return #expect(Bool(false), "no job") }
    // Whether it is encrypted is for the header of the file to say.
    #expect(job.inherited == ["secret": "key", "secretNamespace": "ns"])
  }

  @Test func refusals() throws {
    #expect(fault { () throws(Fault) in try plan(.clone(image: "absent")) }?.code == .notFound)
    #expect(fault { () throws(Fault) in try plan(.clone(image: "new")) }?.code == .invalid)
    let failed = fault { () throws(Fault) in try plan(.clone(image: "broken")) }
    #expect(failed?.code == .conflict)
    #expect(failed?.message.contains("no space") == true)
    let mismatch = fault { () throws(Fault) in try plan(.clone(image: "parrot"), checksum: otherChecksum) }
    #expect(mismatch?.code == .checksumMismatch)
    let url = "file:///state/store?backingImage=parrot"
    #expect(fault { () throws(Fault) in try plan(try restore(url, target: "absent")) }?.code == .notFound)
  }

  @Test func contentComesAndGoes() throws {
    let planner = Planner(facts)
    let upload = try planner.upload(image: "new", uuid: "0badcafe", spec: .init(source: .upload), size: 1024)
    #expect(upload.pipeline.from == [.init("upload", .source, ["descriptor": 3, "size": 1024])])
    #expect(upload.pipeline.to == [newImage("new")])
    let unknown = try planner.upload(image: "new", uuid: "0badcafe", spec: .init(source: .upload), size: nil)
    #expect(unknown.pipeline.from == [.init("upload", .source, ["descriptor": 3, "size": nil])])
    for size in [0, -512, 1000] as [Int64] {
      let fault = fault { () throws(Fault) in
        try planner.upload(image: "new", uuid: "0badcafe", spec: .init(source: .upload), size: size)
      }
      #expect(fault?.code == .badSize)
    }
    let wrong = fault { () throws(Fault) in
      try planner.upload(image: "new", uuid: "0badcafe", spec: .init(source: .clone(image: "parrot")), size: 512)
    }
    #expect(wrong?.code == .conflict)

    let save = try planner.save(image: "parrot")
    #expect(save.pipeline.from == [parrotFile])
    #expect(save.pipeline.to == [.init("save", .sink, ["descriptor": 3])])
    #expect(save.pipeline.expectedChecksum == checksum)
    #expect(fault { () throws(Fault) in try planner.save(image: "absent") }?.code == .notFound)
    #expect(fault { () throws(Fault) in try planner.save(image: "unready") }?.code == .conflict)
  }
}

@Suite struct BackupPlanTests {
  private let planner = Planner(facts)

  @Test func aBackup() throws {
    let spec = BackupBackingImage.Spec(
      image: "sealed", targetName: "usb", labels: ["usecase": "test"], compression: .gzip)
    guard case .job(let job) = try planner.plan(backup: "b1", spec: spec) else { return #expect(Bool(false), "no job") }
    #expect(job.kind == .backup)
    #expect(job.owner == ResourceKey(.backupBackingImage, "b1"))
    #expect(job.reads == [ResourceKey(.backingImage, "sealed")])
    #expect(job.target == "usb")
    #expect(job.pipeline.expectedChecksum == otherChecksum)
    #expect(
      job.pipeline.to == [
        .init(
          "backup", .sink,
          [
            "target": "file:///mnt/usb", "name": "sealed", "checksum": .string(otherChecksum),
            "labels": ["usecase": "test"], "compression": "gzip", "secret": "key", "secretNamespace": "ns",
          ])
      ])
  }

  @Test func waitingAndRecords() throws {
    #expect(
      try planner.plan(backup: "b1", spec: .init(image: "unready", targetName: "usb"))
        == .waiting(
          for: ResourceKey(.backingImage, "unready"),
          reason: "waiting for backingimage/unready, which is in-progress"))
    #expect(try planner.plan(backup: "b1", spec: .init(image: "absent", userCreated: false)) == .nothing)
    guard case .job = try planner.plan(backup: "done", spec: .init(image: "parrot")) else {
      return #expect(Bool(false), "the object itself is no twin of its own")
    }
  }

  @Test func refusals() {
    func code(_ name: String, _ spec: BackupBackingImage.Spec) -> Fault.Code? {
      fault { () throws(Fault) in try planner.plan(backup: name, spec: spec) }?.code
    }
    #expect(code("b1", .init(image: "absent")) == .notFound)
    #expect(code("b1", .init(image: "broken")) == .conflict)
    #expect(code("b1", .init(image: "parrot", targetName: "absent")) == .notFound)
    #expect(code("b1", .init(image: "parrot")) == .conflict)
  }

  @Test func tasks() throws {
    let deletion = try planner.deletion(backup: "done", spec: .init(image: "parrot"))
    #expect(
      deletion.pipeline.from == [.init("delete-backup", .task, ["url": "file:///state/store?backingImage=parrot"])])
    #expect(deletion.pipeline.to.isEmpty)
    let inspection = planner.inspection(of: try ImageBackupURL("vfs:///mnt/usb?backingImage=ab"))
    #expect(inspection.owner == ResourceKey(.backupTarget, "usb"))
    #expect(inspection.pipeline.from == [.init("inspect-backup", .task, ["url": "file:///mnt/usb?backingImage=ab"])])
    #expect(
      try planner.probe(target: "usb").pipeline.from == [.init("probe-target", .task, ["target": "file:///mnt/usb"])])
    #expect(fault { () throws(Fault) in try planner.probe(target: "absent") }?.code == .notFound)
  }
}

@Suite struct CredentialPlanTests {
  private static let bucket = "s3://golden@us-east-1/images"
  private static let keys = SecretReference(name: "keys")

  private func planner() throws -> Planner {
    var facts = facts
    facts.targets["s3"] = try TargetURL(Self.bucket)
    // The same place, and nobody knows how to get in.
    facts.targets["a-twin"] = try TargetURL(Self.bucket)
    facts.credentials["s3"] = Self.keys
    return Planner(facts)
  }

  @Test func whatReachesTheTargetIsGivenItsSecret() throws {
    let planner = try planner()
    guard case .job(let backup) = try planner.plan(backup: "b1", spec: .init(image: "parrot", targetName: "s3")) else {
      return #expect(Bool(false), "no job")
    }
    #expect(backup.pipeline.credentials == [.init(stage: 1, secret: Self.keys)])
    #expect((backup.pipeline.from + backup.pipeline.to)[1].stage == "backup")
    let url = try ImageBackupURL("\(Self.bucket)?backingImage=parrot")
    for task in [
      planner.inspection(of: url), try planner.probe(target: "s3"),
      try planner.deletion(backup: "b1", spec: .init(image: "parrot", targetName: "s3")),
    ] { #expect(task.pipeline.credentials == [.init(stage: 0, secret: Self.keys)], "\(task.kind)") }
    #expect(try planner.probe(target: "usb").pipeline.credentials.isEmpty)
  }

  @Test func aRestoreFindsThemByItsURL() throws {
    func planned(_ url: String, target: String? = nil) throws -> PlannedJob? {
      let source = try restore(url, target: target)
      let plan = try planner().plan(image: "new", uuid: "0badcafe", spec: .init(source: source))
      if case .job(let job) = plan { return job }
      return nil
    }
    let job = try #require(try planned("\(Self.bucket)/?backingImage=parrot"))
    #expect(job.target == "s3")
    #expect(job.pipeline.credentials == [.init(stage: 0, secret: Self.keys)])
    #expect(job.pipeline.from[0].stage == "restore")
    // Another place than that of the target which is named gets nothing of it.
    let elsewhere = try #require(try planned("s3://other@us-east-1/?backingImage=parrot", target: "s3"))
    #expect(elsewhere.pipeline.credentials.isEmpty)
  }
}
