import DroverModel
import Testing

@Suite struct SpecTests {
  @Test(arguments: [
    ("0123", "must be a SHA-512"),
    (sampleChecksum.uppercased(), "has capital letters"),
    (String(sampleChecksum.dropLast()) + "g", "must be a SHA-512"),
    (sampleChecksum + "0", "must be a SHA-512"),
  ])
  func wrongChecksums(checksum: String, message: String) {
    var spec = downloadSpec
    spec["checksum"] = .string(checksum)
    let fault = fault { () throws(Fault) in try imageSpec(spec) }
    #expect(fault?.code == .invalid)
    #expect(fault?.message.contains(message) == true)
  }

  @Test(arguments: [
    "ftp://h/x", "file:///etc/passwd", "https://", "http:///x", "h/x", "", "http://h/a b", "http://user@",
    "http://:80/x",
    "http://h/\n",
  ])
  func urlsThatCanNotBeDownloaded(url: String) {
    // White space round a value is trimmed, as Longhorn does.
    guard url.last != "\n" else {
      #expect(throws: Never.self) { try imageSpec(["sourceParameters": ["url": .string(url)]]) }
      return
    }
    #expect(fault { () throws(Fault) in try imageSpec(["sourceParameters": ["url": .string(url)]]) }?.code == .invalid)
  }

  @Test func aPasswordInAURLIsPointedOut() throws {
    let checked = try BackingImage.Spec.read(["sourceParameters": ["url": "https://u:p@h/x"]])
    #expect(checked.warnings.count == 1)
    #expect(!checked.warnings[0].contains("u:p"))
  }

  @Test func whatThisVersionCanNotDo() {
    let specs: [[String: JSONValue]] = [
      ["sourceType": "clone", "sourceParameters": ["backing-image": "ab", "data-engine": "v2"]],
      ["sourceType": "export-from-volume", "sourceParameters": ["volume-name": "v1", "export-type": "qcow2"]],
      ["sourceType": "restore", "sourceParameters": ["backup-url": "cifs://h/s?backingImage=ab"]],
      ["sourceType": "restore", "sourceParameters": ["backup-url": "file:///s?backup=b&volume=v"]],
      ["sourceType": "upload", "dataEngine": "v2"],
    ]
    for spec in specs {
      #expect(fault { () throws(Fault) in try imageSpec(spec) }?.code == .notSupported, "\(spec)")
    }
  }

  @Test func sourcesAndTheirParameters() throws {
    let clone = try imageSpec(["sourceType": "clone", "sourceParameters": ["backing-image": " parrot "]])
    #expect(clone.source == .clone(image: "parrot"))
    #expect(try imageSpec(["sourceType": "upload"]).source == .upload)
    let stage = try imageSpec(["sourceType": "noise", "sourceParameters": ["seed": 7, "fast": true]])
    #expect(stage.source == .stage(name: "noise", parameters: ["seed": "7", "fast": "true"]))
    #expect(
      fault { () throws(Fault) in try imageSpec(["sourceType": "noise", "sourceParameters": ["a": [1]]]) } != nil)
    #expect(fault { () throws(Fault) in try imageSpec(["sourceType": "clone"]) }?.code == .invalid)
    #expect(fault { () throws(Fault) in try imageSpec(["sourceType": "restore"]) }?.code == .invalid)
    #expect(fault { () throws(Fault) in try imageSpec([:]) }?.message.contains("url is required") == true)
  }

  @Test func filters() throws {
    let spec = try imageSpec([
      "sourceType": "upload", "filters": [["stage": "invert", "params": ["n": 1]], ["stage": "noise"]],
    ])
    #expect(spec.filters == [.init(stage: "invert", params: ["n": 1]), .init(stage: "noise")])
    let wrong = fault { () throws(Fault) in try imageSpec(["sourceType": "upload", "filters": [["stge": "x"]]]) }
    #expect(wrong?.message.contains("spec.filters[0].stage is required") == true)
  }

  @Test func bothFormsOfABackup() throws {
    let older = try BackupBackingImage.Spec.read(["userCreated": true, "labels": ["a": "b"]], name: "parrot").spec
    #expect(older.image == "parrot")
    #expect(older.targetName == "default")
    let newer = try BackupBackingImage.Spec.read(
      ["backingImage": "parrot", "backupTargetName": "usb", "compressionMethod": "gzip"], name: "b-1"
    ).spec
    #expect(newer.image == "parrot")
    #expect(newer.targetName == "usb")
    #expect(newer.userCreated)
    #expect(newer.compression == .gzip)
    #expect(fault { () throws(Fault) in try BackupBackingImage.Spec.read([:], name: nil) }?.code == .invalid)
    let method = fault { () throws(Fault) in try BackupBackingImage.Spec.read(["compressionMethod": "gzp"], name: "ab")
    }
    #expect(method?.message.contains("did you mean gzip?") == true)
  }

  @Test(
    arguments: [
      (["sourceTyp": "download"], "unknown field spec.sourceTyp; did you mean sourceType?"),
      (["sourceParameters": ["ulr": "http://h/x"]], "unknown field spec.sourceParameters.ulr; did you mean url?"),
      (
        ["sourceType": "restore", "sourceParameters": ["backup-ulr": "x"]],
        "unknown field spec.sourceParameters.backup-ulr; did you mean backup-url?"
      ),
      (["sourceType": "download"], "spec.sourceParameters.url is required for a download"),
    ] as [([String: JSONValue], String)])
  func mistypedKeysAreToldBeforeMissingOnes(_ fields: [String: JSONValue], _ message: String) {
    #expect(fault { () throws(Fault) in try BackingImage.Spec.read(fields) }?.message == message)
  }

  @Test func labelsAreStrings() {
    for labels in [["a": 1], ["a": true], ["bad key": "x"], ["-a": "x"], ["": "x"], ["A_/b": "x"]] as [JSONValue] {
      let fault = fault { () throws(Fault) in try BackupBackingImage.Spec.read(["labels": labels], name: "ab") }
      #expect(fault?.code == .invalid, "\(labels)")
    }
    #expect(throws: Never.self) {
      try BackupBackingImage.Spec.read(["labels": ["example.com/a.b_c-1": "any thing: ü"]], name: "ab")
    }
  }

  @Test func targets() throws {
    let spec = try BackupTarget.Spec.read(["backupTargetURL": "file:///srv//backups/", "pollInterval": "5m0s"]).spec
    #expect(spec.url.text == "file:///srv/backups")
    #expect(spec.pollSeconds == 300)
    #expect(try BackupTarget.Spec.read(["backupTargetURL": "vfs:///srv/backups"]).spec.url == spec.url)
    #expect(try BackupTarget.Spec.read(["backupTargetURL": "vfs:///a", "pollInterval": 0]).spec.pollSeconds == 0)
    for url in ["", "/srv", "file://host/a", "file:relative", "http://h/x", "file:///a/../b", "file:///a?b=c"] {
      let fault = fault { () throws(Fault) in try BackupTarget.Spec.read(["backupTargetURL": .string(url)]) }
      #expect(fault?.code == .invalid, "\(url)")
    }
    for url in ["cifs://h/s", "azblob://c@e/"] {
      let fault = fault { () throws(Fault) in try BackupTarget.Spec.read(["backupTargetURL": .string(url)]) }
      #expect(fault?.code == .notSupported, "\(url)")
    }
    let bucket = try BackupTarget.Spec.read(["backupTargetURL": "s3://bucket@r/", "credentialSecret": "keys"])
    #expect(bucket.spec.url.text == "s3://bucket@r/" && bucket.warnings == [])
    let export = try BackupTarget.Spec.read(["backupTargetURL": "nfs://h:/p?nfsOptions=hard,nfsvers=3"])
    #expect(export.warnings == ["the NFS option \"hard\" has no effect: the target is not mounted"])
    #expect(TargetURL(folder: "/a b/ü%").text == "file:///a%20b/%C3%BC%25")
  }

  @Test func backupURLs() throws {
    let url = try ImageBackupURL("file:///s/?backingImage=parrot")
    #expect(url.text == "file:///s?backingImage=parrot")
    #expect(try ImageBackupURL("\"vfs:///s?backingImage=parrot\"") == url)
    for text in [
      "file:///s", "file:///s?backingImage=", "file:///s?backingImage=a/b", "file:///s?backingImage=ab&x=y", "parrot",
    ] {
      #expect(fault { () throws(Fault) in try ImageBackupURL(text) }?.code == .invalid, "\(text)")
    }
  }

  @Test func names() {
    for name in ["parrot", "0a", "a.b_c-d", String(repeating: "a", count: 64)] {
      #expect(fault { () throws(Fault) in try ResourceName.check(name, .backingImage) } == nil, "\(name)")
    }
    for name in ["", "a", "-ab", ".ab", "a/b", "a b", "Parrot", "päp", "..", "a\n", String(repeating: "a", count: 65)] {
      #expect(fault { () throws(Fault) in try ResourceName.check(name, .backingImage) }?.code == .invalid, "\(name)")
    }
    #expect(
      fault { () throws(Fault) in try ResourceName.check(String(repeating: "a", count: 253), .backupTarget) } == nil)
  }
}
