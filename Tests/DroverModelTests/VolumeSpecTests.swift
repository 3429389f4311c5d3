import DroverModel
import Testing

private func manifest(
  _ kind: String, _ spec: [String: JSONValue], name: String? = "vol1", labels: [String: JSONValue] = [:]
) -> JSONValue {
  var metadata: [String: JSONValue] = ["labels": .object(labels)]
  if let name { metadata["name"] = .string(name) }
  return [
    "apiVersion": "longhorn.io/v1beta2", "kind": .string(kind), "metadata": .object(metadata), "spec": .object(spec),
  ]
}

private func volume(_ spec: [String: JSONValue]) throws(Fault) -> CheckedSpec<Volume.Spec> {
  try Volume.Spec.read(spec)
}

@Suite struct VolumeSpecTests {
  @Test(arguments: [
    ("1", Int64(2 << 20)), ("2097152", 2 << 20), ("2097153", 4 << 20), ("10G", 10 << 30), ("10Gi", 10 << 30),
    (" 4194304 ", 4 << 20),
  ])
  func sizesAreRoundedUp(text: String, size: Int64) throws {
    let checked = try volume(["size": .string(text)])
    #expect(checked.spec.size == size)
    #expect(checked.fields["size"] == .string(String(size)))
    #expect(checked.warnings.isEmpty == (text.contains("2097152") || text.contains("10G") || text.contains("4194304")))
  }

  @Test(
    arguments: [
      ["size": "0"], ["size": "-1"], ["size": "big"], ["size": true], [:], ["size": ""],
      ["size": "17592186044417"], ["size": "9223372036854775807"],
      ["size": "2097152", "backupBlockSize": "16777216"], ["size": "4G", "backupBlockSize": "4096"],
      ["size": "4G", "backupCompressionMethod": "zip"], ["size": "4G", "fromBackup": "file:///s?backingImage=parrot"],
      ["size": "4G", "backingImage": "../x"], ["size": "4G", "secret": "key"], ["size": "4G", "snapshotMaxCount": 251],
      ["size": "4G", "sise": "4G"],
    ] as [[String: JSONValue]])
  func whatIsNotValid(spec: [String: JSONValue]) {
    #expect(fault { () throws(Fault) in try volume(spec) }?.code == .invalid, "\(spec)")
  }

  @Test(
    arguments: [
      ["size": "4G", "dataEngine": "v2"], ["size": "4G", "dataSource": "vol://other"], ["size": "4G", "Standby": true],
    ] as [[String: JSONValue]])
  func whatThisVersionCanNotDo(spec: [String: JSONValue]) {
    #expect(fault { () throws(Fault) in try volume(spec) }?.code == .notSupported, "\(spec)")
  }

  /// A manifest as Longhorn's documentation has them.
  @Test func longhornsFieldsAreTakenAndReported() throws {
    let spec: [String: JSONValue] = [
      "size": "10737418240", "numberOfReplicas": 3, "frontend": "blockdev", "dataEngine": "v1", "accessMode": "rwo",
      "backingImage": "parrot", "encrypted": false, "Standby": false, "dataLocality": "disabled",
      "backupTargetName": "usb", "backupBlockSize": "16777216", "snapshotMaxCount": 0, "nodeSelector": ["a"],
    ]
    let checked = try volume(spec)
    #expect(checked.spec.targetName == "usb" && checked.spec.blockSize == 16 << 20)
    #expect(checked.spec.snapshotLimit == 249)
    let reported = ["numberOfReplicas", "frontend", "accessMode", "dataLocality", "nodeSelector"]
    for field in reported {
      #expect(checked.warnings.contains { $0.contains("spec.\(field) is kept, but has no effect") }, "\(field)")
    }
    #expect(checked.warnings.count == reported.count)
    // What is kept says the same again.
    #expect(try volume(checked.fields).spec == checked.spec)
  }

  @Test func anEncryptedVolumeIsLongerThanItsGuestSees() throws {
    let spec = try volume(["size": "4M", "encrypted": true, "secret": "key", "secretNamespace": "ns"]).spec
    #expect(spec.wholeSize == 4 << 20 + 16 << 20)
    #expect(spec.secret == SecretReference(namespace: "ns", name: "key"))
  }

  @Test func aRestoredVolumeHasTheSizeOfItsBackup() throws {
    let url = "file:///mnt/usb?backup=backup-1&volume=vol1"
    let checked = try volume(["fromBackup": .string(url), "size": "1G"])
    #expect(checked.spec.size == nil && checked.fields["size"] == nil)
    #expect(checked.spec.fromBackup?.backup == "backup-1")
    #expect(checked.warnings.count == 1)
  }

  @Test func whatMayBeChanged() throws {
    let old = try volume(["size": "4G", "backingImage": "parrot"]).spec
    var new = old
    new.compression = .gzip
    new.snapshotLimit = 5
    #expect(old.changes(to: new, name: "vol1", isMade: true).allSatisfy { $0.refusal == nil && !$0.restartsWork })
    for change in [
      { $0.size = 8 << 30 }, { $0.backingImage = nil }, { $0.encrypted = true }, { $0.blockSize = 1 << 24 },
    ]
      as [(inout Volume.Spec) -> Void]
    {
      var new = old
      change(&new)
      #expect(old.changes(to: new, name: "vol1", isMade: true).first?.refusal?.code == .conflict)
      #expect(old.changes(to: new, name: "vol1", isMade: false).first?.refusal == nil)
    }
  }
}

@Suite struct SnapshotAndBackupSpecTests {
  @Test func aSnapshot() throws {
    let document = try read(manifest("Snapshot", ["volume": "vol1", "labels": ["a": "b"]], name: "s1"))
    guard case .snapshot(let spec) = document.spec else { return #expect(Bool(false)) }
    #expect(spec == Snapshot.Spec(volume: "vol1", snapshotName: "s1", labels: ["a": "b"]))
    #expect(fault { () throws(Fault) in try read(manifest("Snapshot", [:])) }?.message.contains("spec.volume") == true)
    #expect(
      fault { () throws(Fault) in try read(manifest("Snapshot", ["volume": "vol1", "snapshotName": "../s"])) }?.code
        == .invalid)
  }

  /// As Longhorn's documentation has them: the volume stands in a label.
  @Test func aBackupOfLonghornsKind() throws {
    let document = try read(
      manifest(
        "Backup", ["snapshotName": "s1", "backupMode": "full", "backupBlockSize": "-1", "labels": ["k": "v"]],
        name: "b1", labels: ["backup-volume": "vol1", "backup-target": "usb"]))
    guard case .backup(let spec) = document.spec else { return #expect(Bool(false)) }
    #expect(
      spec
        == Backup.Spec(
          volume: "vol1", backupName: "b1", targetName: "usb", snapshotName: "s1", labels: ["k": "v"], mode: .full))
    // The labels may go; what was said stays.
    #expect(try Backup.Spec.read(document.resource.spec, name: "b1").spec == spec)
  }

  @Test func backupsThatAreNotValid() {
    for (spec, labels) in [
      ([:], [:]), (["volumeName": "vol1"], ["backup-volume": "vol2"]),
      (["volumeName": "vol1", "backupMode": "half"], [:]),
      (["volumeName": "vol1", "backupBlockSize": "4194304"], [:]), (["volumeName": "../vol1"], [:]),
      (["volumeName": "vol1", "snapshotName": "a/b"], [:]), (["volumeName": "vol1", "compressionMethod": "zip"], [:]),
    ] as [([String: JSONValue], [String: JSONValue])] {
      #expect(
        fault { () throws(Fault) in try read(manifest("Backup", spec, name: "b1", labels: labels)) }?.code == .invalid,
        "\(spec) \(labels)")
    }
  }

  @Test func aBackupWithoutANameGetsALongOne() throws {
    let document = try read(manifest("Backup", ["volumeName": "vol1"], name: nil))
    #expect(document.resource.metadata.name == "backup-0badcafe0badcafe")
  }

  @Test func onlyAFailedBackupIsMadeAnew() throws {
    let old = Backup.Spec(volume: "vol1", backupName: "b1", snapshotName: "s1")
    var new = old
    new.labels = ["a": "b"]
    #expect(old.changes(to: new, name: "b1", state: .completed).first?.refusal?.code == .conflict)
    #expect(old.changes(to: new, name: "b1", state: .error).first?.restartsWork == true)
    // What was filled in is not taken away.
    new = old
    new.snapshotName = nil
    #expect(old.changes(to: new, name: "b1", state: .completed).isEmpty)
  }

  @Test func statusesComeBack() {
    var volume = Volume.Status()
    volume.state = .attached
    volume.robustness = .healthy
    volume.chain = ["volume-head-000.img"]
    volume.frontend = ["type": "nbd"]
    volume.restore = ["size": 5]
    #expect(Volume.Status(volume.fields) == volume)
    var snapshot = Snapshot.Status()
    snapshot.children = ["a", "b"]
    snapshot.readyToUse = true
    #expect(Snapshot.Status(snapshot.fields) == snapshot)
    #expect(Snapshot.Status(["children": ["c"]]).children == ["c"])
  }
}
