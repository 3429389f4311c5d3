import ArgumentParser
import DroverModel

struct DeleteCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "delete", abstract: "Delete objects, and with a backup what lies in the store.",
    discussion: "Refused, with the reason, while something depends on the object.")

  @Argument(help: ArgumentHelp("KIND NAME... or KIND/NAME.", valueName: "object"))
  var words: [String]

  @Flag(help: "Also where something in a store depends on it.")
  var force = false

  @OptionGroup var waiting: WaitOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let reference = try ObjectReference(words)
    guard !reference.names.isEmpty else { throw Fault(.invalid, "name what is to be deleted") }
    guard reference.kind != .job else {
      throw Fault(.invalid, "a job can't be deleted", hint: "drover job cancel ID ends one")
    }
    var deletion = Deletion(
      daemon: connection.daemon, force: force,
      waiter: waiting.wait ? Waiter(connection.daemon, progress.display(), timeout: waiting.limit.timeout) : nil)
    for name in reference.names { try deletion.delete(ResourceKey(reference.kind, name)) }
    try deletion.end()
  }
}

/// Deletes objects one after the other, and keeps account of what failed.
struct Deletion {
  let daemon: Daemon
  let force: Bool
  /// Nil does not wait for jobs that remove what lies in a store.
  let waiter: Waiter?

  private var deleted = 0
  private var failures = Failures()

  init(daemon: Daemon, force: Bool, waiter: Waiter?) {
    self.daemon = daemon
    self.force = force
    self.waiter = waiter
  }

  mutating func delete(_ key: ResourceKey) throws {
    let (daemon, force, waiter) = (daemon, force, waiter)
    var outcome = "deleted"
    try failures.attempt {
      if let job = try daemon.delete(key, force: force) {
        if let waiter {
          _ = try waiter.wait(for: ResourceKey(.job, job.metadata.name))
        } else {
          outcome = "deleting, \(job.metadata.name)"
        }
      }
      if let waiter { _ = try waiter.wait(for: key, .deleted) }
      print("\(key) \(outcome)")
      deleted += 1
    }
  }

  func end() throws { try failures.end(succeeded: deleted) }
}
