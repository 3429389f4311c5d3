import DroverModel
import Planner
import Testing

private let checksum = String(repeating: "ab", count: 64)
private let otherChecksum = String(repeating: "cd", count: 64)
private let size: Int64 = 64 << 20
private let store = TargetURL(folder: "/state/store")

private func image(_ checksum: String? = checksum, encrypted: Bool = false) -> Facts.ImageFacts {
  .init(
    state: .ready, uuid: "11111111", path: "/state/images/parrot-11111111/backing", checksum: checksum, size: 1 << 20,
    virtualSize: size, encrypted: encrypted, secret: encrypted ? "key" : nil, secretNamespace: encrypted ? "ns" : nil)
}

/// A volume that is there, over `parrot`, with the ready snapshots `s1` and `s2`.
private func volume(
  state: Volume.State = .detached, robustness: Volume.Robustness = .healthy, image: String? = "parrot",
  snapshots: [String] = ["s1", "s2"], ready: Bool = true
) -> Facts.VolumeFacts {
  var status = Volume.Status()
  status.state = state
  status.robustness = robustness
  status.path = robustness == .healthy ? "/state/volumes/vol1" : nil
  status.message = robustness == .faulted ? "no space" : ""
  status.size = size
  status.backingImage = image
  return .init(
    spec: .init(size: size, backingImage: image, snapshotLimit: 3), status: status,
    snapshots: Dictionary(
      uniqueKeysWithValues: snapshots.map { ($0, .init(key: ResourceKey(.snapshot, $0), isReady: ready)) }))
}

private func facts(
  _ volume: Facts.VolumeFacts? = volume(), images: [String: Facts.ImageFacts] = ["parrot": image()],
  imageBackup: BackupBackingImage.State? = .completed, imageBackupChecksum: String? = checksum,
  backups: [String: Facts.VolumeBackupFacts] = [:]
) -> Facts {
  var facts = Facts(stateFolder: "/state", images: images, targets: ["default": store])
  if let imageBackup {
    facts.backups["pb"] = .init(
      image: "parrot", targetName: "default", state: imageBackup, checksum: imageBackupChecksum)
  }
  if let volume { facts.volumes["vol1"] = volume }
  facts.volumeBackups = backups
  return facts
}

private func fault<T>(_ body: () throws(Fault) -> T) -> Fault? {
  do {
    _ = try body()
    return nil
  } catch {
    return error
  }
}

private func job(_ plan: Plan) -> PlannedJob? { if case .job(let job) = plan { job } else { nil } }
private func reason(_ plan: Plan) -> ResourceKey? { if case .waiting(let key, _) = plan { key } else { nil } }

@Suite struct VolumePlanTests {
  private func create(
    _ spec: Volume.Spec, images: [String: Facts.ImageFacts] = ["parrot": image()]
  ) throws(Fault) -> Plan {
    try Planner(facts(nil, images: images)).plan(volume: "vol1", spec: spec, status: Volume.Status())
  }

  @Test func aNewVolumeIsATask() throws {
    let plain = try #require(job(try create(.init(size: size))))
    #expect(plain.kind == .createVolume && plain.owner == ResourceKey(.volume, "vol1") && plain.reads == [])
    #expect(
      plain.pipeline.from == [
        Pipeline.Stage(
          "volume-task", .task,
          ["operation": "create", "folder": "/state/volumes/vol1", "size": .int(size), "encrypted": false])
      ])
    #expect(plain.pipeline.to == [])
    let over = try #require(job(try create(.init(size: size, backingImage: "parrot"))))
    #expect(over.pipeline.from[0].params["image"] == "/state/images/parrot-11111111/backing")
    #expect(over.reads == [ResourceKey(.backingImage, "parrot")])
  }

  @Test func whatAVolumeCanNotLieOver() throws {
    func code(_ spec: Volume.Spec, _ image: Facts.ImageFacts? = image()) -> Fault.Code? {
      fault { () throws(Fault) in try create(spec, images: image.map { ["parrot": $0] } ?? [:]) }?.code
    }
    #expect(code(.init(size: size, backingImage: "parrot"), nil) == .notFound)
    #expect(code(.init(size: size - (2 << 20), backingImage: "parrot")) == .badSize)
    #expect(code(.init(size: size, backingImage: "parrot", encrypted: true)) == .conflict)
    #expect(code(.init(size: size, backingImage: "parrot"), image(encrypted: true)) == .conflict)
    #expect(code(.init(size: size, encrypted: true)) == .notSupported)
    #expect(code(.init(size: size, backingImage: "parrot"), .init(state: .failed, uuid: "1")) == .conflict)
    let waiting = try create(
      .init(size: size, backingImage: "parrot"), images: ["parrot": .init(state: .inProgress, uuid: "1")])
    #expect(reason(waiting) == ResourceKey(.backingImage, "parrot"))
  }

  @Test func anEncryptedVolumeTakesTheSecretOfItsImage() throws {
    let spec = Volume.Spec(size: size, backingImage: "parrot", encrypted: true)
    let planned = try #require(job(try create(spec, images: ["parrot": image(encrypted: true)])))
    #expect(planned.pipeline.from[0].params["size"] == .int(size + 16 << 20))
    #expect(planned.inherited["secret"] == "key" && planned.inherited["secretNamespace"] == "ns")
    var other = spec
    other.secret = SecretReference(namespace: "ns", name: "other")
    #expect(
      fault { () throws(Fault) in try create(other, images: ["parrot": image(encrypted: true)]) }?.code == .conflict)
  }

  @Test func snapshots() throws {
    let planner = Planner(facts())
    let planned = try #require(
      job(try planner.plan(snapshot: "s3", spec: .init(volume: "vol1", snapshotName: "s3", labels: ["a": "b"]))))
    #expect(planned.kind == .snapshot && planned.reads == [ResourceKey(.volume, "vol1")])
    #expect(planned.pipeline.from[0].params["operation"] == "snapshot")
    #expect(planned.pipeline.from[0].params["name"] == "s3")
    #expect(planned.pipeline.from[0].params["labels"] == ["a": "b"])
    #expect(
      try planner.plan(snapshot: "s9", spec: .init(volume: "vol1", snapshotName: "s9", createSnapshot: false))
        == .nothing)

    func code(_ facts: Facts, _ name: String = "s3") -> Fault.Code? {
      fault { () throws(Fault) in
        try Planner(facts).plan(snapshot: "new", spec: .init(volume: "vol1", snapshotName: name))
      }?.code
    }
    #expect(code(facts(nil)) == .notFound)
    #expect(code(facts(), "s1") == .conflict, "another object has it")
    #expect(code(facts(volume(snapshots: ["a1", "a2", "a3"]))) == .conflict, "the limit is three")
    #expect(code(facts(volume(state: .attached))) == .conflict)
    #expect(code(facts(volume(state: .creating, robustness: .faulted))) == .conflict)
    let early = Planner(facts(volume(state: .creating, robustness: .unknown)))
    #expect(
      reason(try early.plan(snapshot: "s3", spec: .init(volume: "vol1", snapshotName: "s3")))
        == ResourceKey(.volume, "vol1"))
  }

  @Test func whatChangesAVolumeIsATaskOnIt() throws {
    let planner = Planner(facts())
    let deletion = try planner.deletion(snapshot: "s1", spec: .init(volume: "vol1", snapshotName: "s1"))
    #expect(deletion.kind == .deleteSnapshot && deletion.pipeline.from[0].params["operation"] == "delete-snapshot")
    let revert = try planner.revert(volume: "vol1", to: "s1")
    #expect(revert.owner == ResourceKey(.volume, "vol1") && revert.reads == [ResourceKey(.snapshot, "s1")])
    #expect(try planner.removal(volume: "vol1").pipeline.from[0].params["operation"] == "remove")
    #expect(fault { () throws(Fault) in try planner.revert(volume: "vol1", to: "s9") }?.code == .notFound)
    let attached = Planner(facts(volume(state: .attached)))
    #expect(fault { () throws(Fault) in try attached.revert(volume: "vol1", to: "s1") }?.code == .conflict)
    #expect(fault { () throws(Fault) in try attached.removal(volume: "vol1") }?.code == .conflict)
  }

  @Test func anImageOfAVolume() throws {
    func plan(_ snapshot: String?, _ facts: Facts) throws(Fault) -> Plan {
      try Planner(facts).plan(
        image: "new", uuid: "0badcafe", spec: .init(source: .exportFromVolume(volume: "vol1", snapshot: snapshot)))
    }
    let head = try #require(job(try plan(nil, facts())))
    #expect(head.kind == .export)
    #expect(head.pipeline.from[0].params["view"] == "merged" && head.pipeline.from[0].params["snapshot"] == nil)
    #expect(head.pipeline.from[0].params["image"] != nil)
    #expect(head.reads.contains(ResourceKey(.volume, "vol1")))
    #expect(fault { () throws(Fault) in try plan(nil, facts(volume(state: .attached))) }?.code == .conflict)
    let frozen = try #require(job(try plan("s1", facts(volume(state: .attached)))))
    #expect(frozen.pipeline.from[0].params["snapshot"] == "s1")
    #expect(fault { () throws(Fault) in try plan("s9", facts()) }?.code == .notFound)
  }
}

@Suite struct VolumeBackupPlanTests {
  private let spec = Backup.Spec(volume: "vol1", backupName: "b2", snapshotName: "s2", labels: ["k": "v"])

  private func plan(_ facts: Facts, _ spec: Backup.Spec? = nil, isAlone: Bool = false) throws(Fault) -> Plan {
    try Planner(facts).plan(volumeBackup: "b2", spec: spec ?? self.spec, isAlone: isAlone)
  }

  private static let last = Facts.VolumeBackupFacts(
    volume: "vol1", backup: "b1", targetName: "default", state: .completed, snapshot: "s1", blockSize: 2 << 20,
    begunAt: "2026-01-02T00:00:00Z")

  @Test func theFirstBackupHoldsEverything() throws {
    let planned = try #require(job(try plan(facts())))
    #expect(planned.kind == .backup && planned.target == "default")
    let (source, sink) = (planned.pipeline.from[0], planned.pipeline.to[0])
    #expect(
      source
        == Pipeline.Stage(
          "volume", .source,
          [
            "folder": "/state/volumes/vol1", "snapshot": "s2", "view": "own",
            "image": "/state/images/parrot-11111111/backing",
          ]))
    #expect(sink.stage == "backup" && sink.role == .sink)
    #expect(sink.params["volume"] == "vol1" && sink.params["name"] == "b2" && sink.params["snapshot"] == "s2")
    #expect(sink.params["backingImage"] == "parrot" && sink.params["backingImageChecksum"] == .string(checksum))
    #expect(sink.params["base"] == nil)
    #expect(sink.params["labels"]?["k"] == "v" && sink.params["labels"]?["longhorn.io/volume-access-mode"] == "rwo")
    #expect(
      Set(planned.reads).isSuperset(of: [
        ResourceKey(.volume, "vol1"), ResourceKey(.snapshot, "s2"), ResourceKey(.backingImage, "parrot"),
        ResourceKey(.backupBackingImage, "pb"),
      ]))
  }

  @Test func theNextOneBuildsUponTheLast() throws {
    var older = Self.last
    older.backup = "b0"
    older.snapshot = "s0"
    older.begunAt = "2026-01-01T00:00:00Z"
    let planned = try #require(job(try plan(facts(backups: ["r1": Self.last, "r0": older]))))
    #expect(planned.pipeline.from[0].params["since"] == "s1")
    #expect(planned.pipeline.to[0].params["base"] == "b1" && planned.pipeline.to[0].params["baseSnapshot"] == "s1")
    #expect(planned.reads.contains(ResourceKey(.backup, "r1")) && planned.reads.contains(ResourceKey(.snapshot, "s1")))
  }

  @Test func whenNothingCanBeBuiltUpon() throws {
    func base(_ facts: Facts, _ spec: Backup.Spec? = nil, isAlone: Bool = false) throws -> JSONValue? {
      try #require(job(try plan(facts, spec, isAlone: isAlone))).pipeline.to[0].params["base"]
    }
    let known = facts(backups: ["r1": Self.last])
    var full = spec
    full.mode = .full
    #expect(try base(known, full) == nil)
    #expect(try base(known, isAlone: true) == nil)
    for change in [
      { $0.snapshot = "s2" }, { $0.snapshot = "gone" }, { $0.state = .error }, { $0.volume = "vol2" },
      { $0.targetName = "usb" }, { $0.blockSize = 16 << 20 }, { $0.snapshot = nil },
    ] as [(inout Facts.VolumeBackupFacts) -> Void] {
      var other = Self.last
      change(&other)
      #expect(try base(facts(backups: ["r1": other])) == nil, "\(other)")
    }
  }

  @Test func theImageIsBackedUpFirst() throws {
    #expect(reason(try plan(facts(imageBackup: .inProgress))) == ResourceKey(.backupBackingImage, "pb"))
    func code(_ facts: Facts) -> Fault.Code? { fault { () throws(Fault) in try plan(facts) }?.code }
    #expect(code(facts(imageBackup: nil)) == .notFound)
    #expect(code(facts(imageBackup: .error)) == .conflict)
    #expect(code(facts(imageBackupChecksum: otherChecksum)) == .contentConflict)
    #expect(Planner(facts(imageBackup: nil)).unsavedImage(of: spec) == "parrot")
    #expect(Planner(facts()).unsavedImage(of: spec) == nil)
    #expect(Planner(facts(volume(image: nil), imageBackup: nil)).unsavedImage(of: spec) == nil)
    let bare = try #require(job(try plan(facts(volume(image: nil), imageBackup: nil))))
    #expect(bare.pipeline.to[0].params["backingImage"] == nil)
  }

  @Test func whatIsNotThere() throws {
    func code(_ facts: Facts, _ change: (inout Backup.Spec) -> Void = { _ in }) -> Fault.Code? {
      var spec = spec
      change(&spec)
      return fault { () throws(Fault) in try plan(facts, spec) }?.code
    }
    #expect(code(facts(nil)) == .notFound)
    #expect(code(facts()) { $0.snapshotName = "s9" } == .notFound)
    #expect(code(facts()) { $0.targetName = "nas" } == .notFound)
    #expect(reason(try plan(facts(volume(ready: false)))) == ResourceKey(.snapshot, "s2"))
    var odd = volume()
    odd.status.size = 2 << 20
    #expect(code(facts(odd)) { $0.blockSize = 16 << 20 } == .badSize)
  }
}

@Suite struct VolumeRestorePlanTests {
  private let found: [String: JSONValue] = [
    "size": .int(size), "backingImage": "parrot", "backingImageChecksum": .string(checksum), "snapshotName": "s1",
    "labels": ["k": "v"], "createdAt": "2026-01-01T00:00:00Z", "encrypted": false,
  ]

  private func plan(
    _ found: [String: JSONValue]? = nil, images: [String: Facts.ImageFacts] = ["parrot": image()],
    _ change: (inout Volume.Spec) -> Void = { _ in }
  ) throws(Fault) -> Plan {
    var spec = Volume.Spec(size: nil, fromBackup: try VolumeBackupURL("file:///state/store?backup=b1&volume=vol0"))
    change(&spec)
    var status = Volume.Status()
    status.restore = found ?? self.found
    return try Planner(facts(nil, images: images)).plan(volume: "vol1", spec: spec, status: status)
  }

  @Test func fromTheStoreToANewVolume() throws {
    let planned = try #require(job(try plan()))
    #expect(planned.kind == .restore && planned.target == "default")
    #expect(
      planned.pipeline.from == [
        Pipeline.Stage(
          "restore", .source, ["url": "file:///state/store?backup=b1&volume=vol0", "view": "blocks"])
      ])
    #expect(
      planned.pipeline.to == [
        Pipeline.Stage(
          "volume", .sink,
          [
            "folder": "/state/volumes/vol1", "size": .int(size), "encrypted": false, "snapshot": "s1",
            "created": "2026-01-01T00:00:00Z", "labels": ["k": "v"], "image": "/state/images/parrot-11111111/backing",
          ])
      ])
    #expect(planned.inherited["backingImage"] == "parrot")
  }

  @Test func onlyTheRightImageIsTaken() throws {
    func code(
      _ images: [String: Facts.ImageFacts], found: [String: JSONValue]? = nil,
      _ change: (inout Volume.Spec) -> Void = { _ in }
    ) -> Fault.Code? { fault { () throws(Fault) in try plan(found, images: images, change) }?.code }
    #expect(code(["parrot": image(otherChecksum)]) == .contentConflict)
    #expect(code([:]) == .notFound)
    // The same bytes under another name are the same image.
    #expect(code(["parrot2": image()]) { $0.backingImage = "parrot2" } == nil)
    #expect(code(["parrot2": image(otherChecksum)]) { $0.backingImage = "parrot2" } == .contentConflict)
    var unknown = found
    unknown["backingImageChecksum"] = nil
    #expect(code(["parrot": image()], found: unknown) == nil)
    #expect(code(["parrot2": image()], found: unknown) { $0.backingImage = "parrot2" } == .contentConflict)
    let force: (inout Volume.Spec) -> Void = {
      $0.backingImage = "parrot2"
      $0.acceptBackingImage = true
    }
    #expect(code(["parrot2": image(otherChecksum)], force) == nil)
    #expect(reason(try plan(images: ["parrot": .init(state: .starting, uuid: "1")])) != nil)
  }

  @Test func aMissingImageIsRestoredFirst() throws {
    let url = try VolumeBackupURL("file:///state/store?backup=b1&volume=vol0")
    var spec = Volume.Spec(size: nil, fromBackup: url)
    let missing = Planner(facts(nil, images: [:])).missingImage(ofRestored: spec, found)
    #expect(missing?.name == "parrot" && missing?.checksum == checksum)
    #expect(missing?.url.text == "file:///state/store?backingImage=parrot")
    #expect(Planner(facts(nil)).missingImage(ofRestored: spec, found) == nil)
    // Another image than the recorded one has no backup that would be it.
    spec.backingImage = "robin"
    #expect(Planner(facts(nil, images: [:])).missingImage(ofRestored: spec, found) == nil)
    #expect(Planner(facts(nil, images: [:])).missingImage(ofRestored: spec, ["size": 1]) == nil)
  }
}
