import DroverModel

let sampleChecksum = String(repeating: "0123456789abcdef", count: 8)

/// A document of a BackingImage with these members of `spec`.
func image(_ spec: [String: JSONValue], name: String = "parrot") -> JSONValue {
  [
    "apiVersion": "longhorn.io/v1beta2", "kind": "BackingImage", "metadata": ["name": .string(name)],
    "spec": .object(spec),
  ]
}

let downloadSpec: [String: JSONValue] = [
  "sourceType": "download", "sourceParameters": ["url": "https://host.example/parrot.raw"],
  "checksum": .string(sampleChecksum),
]

func read(_ document: JSONValue, _ validation: Validation = .strict) throws(Fault) -> ResourceDocument {
  try ResourceDocument(document, validation: validation, randomSuffix: { "0badcafe" })
}

/// The spec of an image from its members.
func imageSpec(_ spec: [String: JSONValue]) throws(Fault) -> BackingImage.Spec {
  try BackingImage.Spec.read(spec).spec
}

/// The fault that `body` throws; nil where it throws none.
func fault<T>(_ body: () throws(Fault) -> T) -> Fault? {
  do {
    _ = try body()
    return nil
  } catch {
    return error
  }
}
