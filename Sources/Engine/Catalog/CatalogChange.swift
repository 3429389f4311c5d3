import ChildProtocol
import DroverModel

/// One write to the catalog. All of one `commit` take effect together or not at all.
enum CatalogChange: Sendable, Hashable {
  /// Inserts or replaces.
  case putResource(ResourceRecord)
  /// With the decisions that belong to no job of it.
  case deleteResource(ResourceKey)
  /// All values of the Secret, in the place of those that it had.
  case putSecret(SecretReference, [SealedValue])
  case deleteSecret(SecretReference)
  /// What was seen of a store, by the target's name: the version of an object that was read.
  case putStoreObject(target: String, path: String, version: String)
  case deleteStoreObject(target: String, path: String)
  /// All of a target.
  case deleteStoreObjects(target: String)
  case putJob(JobRecord)
  /// With its checkpoint and its decisions. Its events stay.
  case deleteJob(String)
  case putCheckpoint(job: String, Checkpoint)
  case deleteCheckpoint(job: String)
  /// Behind the row of its job.
  case addDecision(DecisionRecord)
  case event(EventDraft)
  /// Forgets all events but the last so many.
  case pruneEvents(keeping: Int)
}

/// An event before the catalog has numbered it.
struct EventDraft: Sendable, Hashable {
  var type: Event.Kind
  var subject: ResourceKey
  var job: String?
  var message: String
  /// Seconds since 1970.
  var time: Double
}

/// What the engine needs of a catalog. Every call blocks until the disk has answered.
protocol CatalogStore: Sendable {
  /// Everything that is kept in memory, as it was committed last.
  func load() throws -> (resources: [ResourceRecord], jobs: [JobRecord])
  func commit(_ changes: [CatalogChange]) throws
  /// What policies decided for the jobs and objects that are there, in the order they did.
  func decisions() throws -> [DecisionRecord]
  func checkpoint(job: String) throws -> Checkpoint?
  /// By key; empty where the Secret is not there.
  func sealedValues(of secret: SecretReference) throws -> [SealedValue]
  /// The versions that were seen in a target's store, by path.
  func storeObjects(target: String) throws -> [String: String]
  /// Whether any value is sealed.
  func holdsSecrets() throws -> Bool
  /// In ascending order, after `seq`.
  func events(after seq: Int64, limit: Int) throws -> [Event]
  /// About the subject or one of the jobs: the last `limit`, in ascending order.
  func events(about subject: ResourceKey, jobs: [String], limit: Int) throws -> [Event]
}
