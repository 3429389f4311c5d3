import ArgumentParser
import ControlAPI
import DroverModel
import Manifests

/// Applies documents one after the other, and keeps account of what became of each.
struct Application {
  let daemon: Daemon
  let options: ApplyOptions
  let output: ObjectOutput
  let display: any ProgressDisplay
  let quiet: Bool

  private var applied: [(key: ResourceKey, object: Resource)] = []
  /// `KIND/NAME` of those that were not there before.
  private var created: Set<String> = []
  private var failures = Failures()
  private let startedAt = monotonicSeconds()

  init(
    daemon: Daemon, options: ApplyOptions, output: ObjectOutput, display: any ProgressDisplay, quiet: Bool
  ) {
    self.daemon = daemon
    self.options = options
    self.output = output
    self.display = display
    self.quiet = quiet
  }

  /// One that fails does not keep the others from being applied; a daemon that can't be reached does.
  mutating func apply(_ documents: [ManifestDocument]) throws {
    for document in documents {
      do {
        let response = try answer(to: document)
        let key = try ResourceKey(response.object)
        applied.append((key, response.object))
        if response.result == .created { created.insert("\(key)") }
        if output.format == .table || output.format == .wide {
          print("\(output.name(response.object)) \(response.result.rawValue)\(options.dryRun ? " (dry run)" : "")")
        }
        if !quiet { report(response) }
      } catch let fault as Fault where fault.code != .daemonUnreachable {
        fail(Fault(fault.code, "\(document.position): \(fault.message)", hint: fault.hint, retry: fault.retry))
      }
    }
  }

  /// In a dry run nothing of an earlier document is there: one that needs it would be taken, and wait for it.
  private func answer(to document: ManifestDocument) throws -> ApplyResponse {
    do { return try daemon.apply(document.value, options) } catch let fault as Fault
      where options.dryRun && (fault.code == .notFound || fault.code == .keyMissing)
    {
      let words = fault.message.split { $0 == " " || $0 == "," }.map(String.init)
      // A Secret is named without its kind, in Longhorn's words.
      let awaited =
        fault.code == .keyMissing && words.count > 5
        ? [SecretReference(namespace: words.last, name: words[5]).key.description] : Array(words.dropFirst())
      guard let awaited = awaited.first(where: created.contains) else { throw fault }
      let wanted = try ResourceDocument(document.value, validation: options.validation, randomSuffix: { "00000000" })
      guard try daemon.resourceIfPresent(wanted.key) == nil else { throw fault }
      display.note("\(wanted.key)", "would wait for \(awaited), and is not planned further")
      return ApplyResponse(result: .created, object: wanted.resource, warnings: wanted.warnings)
    }
  }

  /// Until each applied object has reached its final state, or can't.
  mutating func wait(timeout: Span?) throws {
    let waiter = Waiter(daemon, display, timeout: timeout)
    for index in applied.indices {
      let key = applied[index].key
      do {
        if let object = try waiter.wait(for: key) { applied[index].object = object }
        display.note("\(key)", Goal.word(key.kind))
      } catch let fault as Fault where fault.code != .daemonUnreachable {
        failedWaits += 1
        // What is printed is the object as it failed, not as it was applied.
        if let object = try? daemon.resourceIfPresent(key) { applied[index].object = object }
        fail(fault)
      }
    }
  }

  private var failedWaits = 0

  /// Prints the objects where a format asked for them, and ends with the exit code of what failed.
  func end() throws {
    switch output.format {
    case .table, .wide: break
    case .json, .yaml, .name:
      if applied.count == 1, failures.count == failedWaits {
        try output.show(applied[0].object)
      } else {
        try output.show(applied.map(\.object))
      }
    }
    let succeeded = applied.count - failedWaits
    display.summary(succeeded: succeeded, failed: failures.count, seconds: monotonicSeconds() - startedAt)
    try failures.end(succeeded: succeeded)
  }

  private mutating func fail(_ fault: Fault) {
    display.clear()
    failures.add(fault)
  }

  private func report(_ response: ApplyResponse) {
    for warning in response.warnings { display.note(output.name(response.object), "warning: \(warning)") }
    guard let plan = response.plan else { return }
    let subject = output.name(response.object)
    if let size = plan.size {
      let data = plan.dataSize.map { ", \(ByteSize.text($0)) of it data" } ?? ""
      display.note(subject, "would copy \(ByteSize.text(size))\(data)")
    }
    for space in plan.space { display.note(subject, "needs \(ByteSize.text(space.bytes)) in \(space.path)") }
    for lock in plan.locks { display.note(subject, "takes the lock \(lock)") }
  }
}
