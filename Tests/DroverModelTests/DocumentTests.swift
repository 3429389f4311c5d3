import DroverModel
import Testing

@Suite struct DocumentTests {
  @Test func longhornsManifestAsItStands() throws {
    let document = try read([
      "apiVersion": "longhorn.io/v1beta2", "kind": "BackingImage",
      "metadata": [
        "name": "parrot", "namespace": "longhorn-system", "annotations": ["a": "b"], "resourceVersion": "7",
        "labels": ["team": "blue"],
      ],
      "spec": [
        "minNumberOfCopies": 3, "nodeSelector": ["node1"], "sourceType": "download",
        "sourceParameters": ["url": "https://host.example/parrot.raw"], "checksum": .string(" \(sampleChecksum)\n"),
      ],
      "status": ["state": "ready"],
    ])
    #expect(document.key == ResourceKey(.backingImage, "parrot"))
    #expect(document.resource.metadata == .init(name: "parrot", namespace: "longhorn-system", labels: ["team": "blue"]))
    #expect(document.resource.status.isEmpty)
    #expect(
      document.warnings == [
        "spec.minNumberOfCopies is kept, but has no effect here", "spec.nodeSelector is kept, but has no effect here",
      ])
    #expect(document.resource.spec["minNumberOfCopies"] == 3)
    guard case .backingImage(let spec) = document.spec else { return #expect(Bool(false), "not an image") }
    #expect(spec.checksum == sampleChecksum)
    #expect(spec.source == .download(parameters: ["url": "https://host.example/parrot.raw"]))
  }

  @Test func aCheckedDocumentChecksAgainUnchanged() throws {
    let documents: [JSONValue] = [
      image(downloadSpec),
      image(["sourceType": "clone", "sourceParameters": ["backing-image": "parrot", "encryption": "ignore"]]),
      image([
        "sourceType": "restore",
        "sourceParameters": ["backup-url": "file:///s?backingImage=parrot", "concurrent-limit": "2"],
      ]),
      image(["sourceType": "noise", "sourceParameters": ["seed": 7], "filters": [["stage": "invert"]]]),
    ]
    for document in documents {
      let first = try read(document)
      let again = try ResourceSpec.read(.backingImage, first.resource.spec, name: "parrot")
      #expect(again.spec == first.spec)
      #expect(again.fields == first.resource.spec)
      #expect(try ResourceSpec(first.resource) == first.spec)
    }
  }

  @Test func integersMayStandInQuotes() throws {
    let quoted = try imageSpec([
      "sourceType": "restore", "sourceParameters": ["backup-url": "vfs:///s?backingImage=ab", "concurrent-limit": "2"],
    ])
    let bare = try imageSpec([
      "sourceType": "restore", "sourceParameters": ["backup-url": "vfs:///s?backingImage=ab", "concurrent-limit": 2],
    ])
    #expect(quoted == bare)
    guard case .restore(_, let concurrency, _, _) = quoted.source else { return #expect(Bool(false)) }
    #expect(concurrency == 2)
  }

  @Test func generatedNames() throws {
    var document = image(downloadSpec)
    guard case .object(var members) = document else { return }
    members["metadata"] = ["generateName": "golden-"]
    document = .object(members)
    #expect(try read(document).resource.metadata.name == "golden-0badcafe")
    members["metadata"] = nil
    #expect(try read(.object(members)).resource.metadata.name == "backingimage-0badcafe")
    members["metadata"] = ["generateName": "Golden-"]
    #expect(fault { () throws(Fault) in try read(.object(members)) }?.code == .invalid)
  }

  @Test func unknownKeysNameTheNearest() {
    var spec = downloadSpec
    spec["checksun"] = "x"
    let strict = fault { () throws(Fault) in try read(image(spec)) }
    #expect(strict?.code == .invalid)
    #expect(strict?.message == "unknown field spec.checksun; did you mean checksum?")

    spec = downloadSpec
    spec["sourceParameters"] = ["url": "http://h/x", "ulr": "y"]
    let inner = fault { () throws(Fault) in try read(image(spec)) }
    #expect(inner?.message == "unknown field spec.sourceParameters.ulr; did you mean url?")

    let far = fault { () throws(Fault) in try read(image(["whatever": 1])) }
    #expect(far?.message == "unknown field spec.whatever")
  }

  @Test func warnAndIgnoreDropUnknownKeys() throws {
    var spec = downloadSpec
    spec["colour"] = "blue"
    spec["sourceParameters"] = ["url": "http://h/x", "ulr": "y"]
    let warned = try read(image(spec), .warn)
    #expect(warned.warnings.count == 2)
    #expect(warned.resource.spec["colour"] == nil)
    #expect(warned.resource.spec["sourceParameters"] == ["url": "http://h/x"])
    let ignored = try read(image(spec), .ignore)
    #expect(ignored.warnings.isEmpty)
    #expect(ignored.resource == warned.resource)
  }

  @Test(
    arguments: [
      (["apiVersion": "longhorn.io/v1beta2", "metadata": ["name": "ab"]], "kind is missing", .invalid),
      (["kind": "BackingImage"], "apiVersion is missing", .invalid),
      (["apiVersion": "v1", "kind": "BackingImage"], "apiVersion \"v1\" is not known", .invalid),
      (["apiVersion": "longhorn.io/v1beta2", "kind": "BackingImagge"], "did you mean backingimage?", .unknownKind),
      (["apiVersion": "longhorn.io/v1beta2", "kind": "bi"], "is written BackingImage", .invalid),
      (
        ["apiVersion": "longhorn.io/v1beta2", "kind": "RecurringJob"], "RecurringJob is not supported by this version",
        .notSupported
      ),
      (["apiVersion": "longhorn.io/v1beta2", "kind": "Job"], "a Job can't be applied", .invalid),
      ("text", "must be an object, not a string", .invalid),
      ([], "must be an object, not a list", .invalid),
    ] as [(JSONValue, String, Fault.Code)])
  func documentsThatAreNone(document: JSONValue, message: String, code: Fault.Code) {
    let fault = fault { () throws(Fault) in try read(document) }
    #expect(fault?.code == code)
    #expect(fault?.message.contains(message) == true, "\(fault?.message ?? "no fault")")
  }

  @Test func kindsByEveryName() throws {
    for name in ["bi", "backingimage", "backingimages", "BackingImage", "BI"] {
      #expect(try ResourceKind(named: name) == .backingImage)
    }
    #expect(try ResourceKind(named: "bbi") == .backupBackingImage)
    #expect(try ResourceKind(named: "bt") == .backupTarget)
    #expect(try ResourceKind(named: "jobs") == .job)
    #expect(try ResourceKind(named: "Secret") == .secret)
    #expect(try ResourceKind(named: "backups") == .backup)
    for name in ["rj", "recurringjob"] {
      #expect(fault { () throws(Fault) in try ResourceKind(named: name) }?.code == .notSupported)
    }
    let unknown = fault { () throws(Fault) in try ResourceKind(named: "pod") }
    #expect(unknown?.code == .unknownKind)
    #expect(unknown?.code.exitCode == 2)
  }
}
