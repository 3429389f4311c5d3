import DroverModel

/// One row of the table `resource`. Jobs are not resources here; they have a table of their own.
struct ResourceRecord: Sendable, Hashable {
  var key: ResourceKey
  var uid: String
  var namespace: String?
  var labels: [String: String]
  var spec: [String: JSONValue]
  var status: [String: JSONValue]
  var generation: Int
  /// Seconds since 1970.
  var createdAt: Double
  /// Deletion was asked for and is under way; it goes on after a restart.
  var deleting: Bool

  var resource: Resource {
    var status = self.status
    if deleting { status["deleting"] = true }
    return Resource(
      apiVersion: key.kind.apiVersion, kind: key.kind.manifestName,
      metadata: Resource.Metadata(
        name: SecretReference(key)?.name ?? key.name, namespace: namespace, uid: uid,
        creationTimestamp: Timestamp.text(createdAt),
        labels: labels.isEmpty ? nil : labels, generation: generation),
      spec: spec, status: status)
  }
}
