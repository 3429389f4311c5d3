import ChildProtocol
public import DroverModel
import Logging
import Planner

// What policies are asked, and what is made of their answers. A decision is in the catalog before it is acted on.

/// A decision, with what goes to the job's log beside it.
struct DecidedPolicy: Sendable {
  var decision: PolicyDecision
  var inputDigest: String
  var time: Double
  var printed: String

  func record(for uid: String, job: String?) -> DecisionRecord {
    DecisionRecord(job: job, ownerUID: uid, time: time, inputDigest: inputDigest, decision: decision)
  }
}

/// What a policy said, and to what.
struct PolicyStatement: Sendable {
  var said: Policies.Said
  var inputDigest: String
  var time: Double

  /// - Parameters:
  ///   - warning: What is wrong with script or answer; then the built-in answer was taken.
  func decided(_ point: PolicyPoint, reason: String, warning: String? = nil) -> DecidedPolicy {
    DecidedPolicy(
      decision: PolicyDecision(
        point: point, script: said.script, digest: said.digest, output: said.output, reason: reason,
        fallback: warning != nil, warning: warning),
      inputDigest: inputDigest, time: time, printed: said.printed)
  }
}

extension Engine {
  /// Nil where no policy handles the point.
  private func ask(_ point: PolicyPoint, _ context: PolicyContext) async -> PolicyStatement? {
    guard let policies else { return nil }
    let now = environment.now()
    let input = context.json(point, now: now)
    guard let said = await policies.ask(point, input) else { return nil }
    let text = (try? Column.text(input)) ?? ""
    return PolicyStatement(said: said, inputDigest: Policies.digest(Array(text.utf8)), time: now)
  }

  func remember(_ decision: DecisionRecord) {
    decisions[decision.job ?? decision.ownerUID, default: []].append(decision)
    if decision.decision.point == .labels, let job = decision.job { labelled.insert(job) }
  }

  /// Those of the job, and those of its owner from before there was a job.
  func decisions(for job: Job) -> [PolicyDecision] {
    let before = resources[job.owner].flatMap { decisions[$0.uid] } ?? []
    return (before + (decisions[job.id] ?? [])).map(\.decision)
  }

  /// Into the job's log.
  func report(_ decided: DecidedPolicy, _ job: String) {
    guard let attempt = machines[job]?.record.job.attempt else { return }
    let log = log(job)
    for line in decided.printed.split(separator: "\n") {
      log.append(.info, "\(decided.decision.script): \(line)", attempt: attempt, time: decided.time)
    }
    let decision = decided.decision
    log.append(.info, "\(decision.point.rawValue): \(decision.reason)", attempt: attempt, time: decided.time)
    if let warning = decision.warning { log.append(.warning, warning, attempt: attempt, time: decided.time) }
  }

  // MARK: Names

  /// What a policy says of the name of an object that was given none. Nil where it has one, or none is asked.
  func saidOfName(of document: ResourceDocument, job: String) async -> PolicyStatement? {
    guard !document.isNamed, twin(of: document) == nil, let context = namingContext(document, job) else { return nil }
    return await ask(.naming, context)
  }

  /// Gives an object without a name one that is free.
  ///
  /// An image has one backup in a store: where there is an object for it, that is the one that is meant.
  func name(_ document: inout ResourceDocument, _ statement: PolicyStatement?) throws -> DecidedPolicy? {
    guard !document.isNamed else { return nil }
    if let twin = twin(of: document) {
      document.resource.metadata.name = twin
      return nil
    }
    let builtIn = document.resource.metadata.name
    guard let statement else {
      document.resource.metadata.name = free(builtIn, document.kind)
      return nil
    }
    let script = statement.said.script
    var wanted: String?
    var problem = statement.said.failure
    if problem == nil {
      do throws(Fault) { wanted = try NamingAnswer(statement.said.output, kind: document.kind).name } catch {
        problem = "\(script): \(error.message)"
      }
    }
    let name = free(wanted ?? builtIn, document.kind)
    document.resource.metadata.name = name
    if let problem {
      return statement.decided(
        .naming, reason: "the built-in name \(name)",
        warning: "the policy gave no name, so the built-in one was taken: \(problem)")
    }
    guard let wanted else { return statement.decided(.naming, reason: "\(script) left the built-in name \(name)") }
    return statement.decided(
      .naming, reason: name == wanted ? "\(script) gave the name \(name)" : "\(wanted) was taken, so it is \(name)")
  }

  /// The name, or the first of `-2`, `-3`, … behind it that nobody has.
  private func free(_ name: String, _ kind: ResourceKind) -> String {
    guard resources[ResourceKey(kind, name)] != nil else { return name }
    let limit = ResourceName.limit(kind)
    var number = 2
    while true {
      let end = "-\(number)"
      let candidate = String(name.prefix(limit - end.utf8.count)) + end
      if resources[ResourceKey(kind, candidate)] == nil { return candidate }
      number += 1
    }
  }

  private func twin(of document: ResourceDocument) -> String? {
    guard case .backupBackingImage(let spec) = document.spec, !document.isNamed, document.generateName == nil else {
      return nil
    }
    let facts = facts
    return facts.backups.filter {
      $0.value.image == spec.image && facts.targets[$0.value.targetName] == facts.targets[spec.targetName]
    }.keys.min()
  }

  private func namingContext(_ document: ResourceDocument, _ job: String) -> PolicyContext? {
    var source: PolicyContext.Source?
    var labels: [String: String] = [:]
    let kind: Job.Kind
    switch document.spec {
    case .backupBackingImage(let spec):
      source = imageSource(spec.image)
      labels = spec.labels
      kind = spec.userCreated ? .backup : .inspect
    case .backingImage(let spec):
      labels = document.resource.metadata.labels ?? [:]
      switch spec.source {
      case .clone(let image, _):
        source = imageSource(image)
        kind = .clone
      case .restore(let url, _, _, _):
        source = PolicyContext.Source(kind: .backupBackingImage, name: url.image)
        kind = .restore
      case .download: kind = .download
      case .upload: kind = .upload
      case .exportFromVolume(let volume, _):
        source = volumeSource(volume)
        kind = .export
      case .stage: kind = .import
      }
    case .snapshot(let spec):
      source = volumeSource(spec.volume)
      labels = spec.labels
      kind = .snapshot
    case .backup(let spec):
      source = volumeSource(spec.volume)
      labels = spec.labels
      kind = .backup
    default: return nil
    }
    return PolicyContext(
      kind: document.kind, generateName: document.generateName, source: source, labels: labels,
      job: .init(id: job, kind: kind, attempt: 1))
  }

  private func imageSource(_ name: String) -> PolicyContext.Source {
    let record = resources[ResourceKey(.backingImage, name)]
    let status = record.map { BackingImage.Status($0.status) }
    return PolicyContext.Source(
      kind: .backingImage, name: name, labels: record?.labels ?? [:], size: status?.size, checksum: status?.checksum)
  }

  private func volumeSource(_ name: String) -> PolicyContext.Source {
    let record = resources[ResourceKey(.volume, name)]
    let status = record.map { Volume.Status($0.status) }
    return PolicyContext.Source(kind: .volume, name: name, labels: record?.labels ?? [:], size: status?.size)
  }

  // MARK: Labels

  /// The labels of the backup that the job makes.
  func labels(of job: String, inherited: [String: String]) -> [String: String] {
    guard let decision = decisions[job]?.last(where: { $0.decision.point == .labels })?.decision, !decision.fallback,
      let answer = try? LabelsAnswer(decision.output)
    else { return inherited }
    return answer.applied(to: inherited)
  }

  /// Asks about the labels of the backups that could start now; they start when there is an answer.
  ///
  /// Each is asked about once. One that has been started without having been asked about goes on so.
  func askAboutLabels(_ planner: Planner) {
    guard policies != nil else { return }
    for (id, machine) in machines {
      let record = machine.record
      guard record.job.kind == .backup, record.job.state == .pending, record.job.attempt == 0, record.ending == nil,
        !machine.isWorking, !labelled.contains(id), !askedAbout.contains(id), let owner = resources[record.job.owner],
        let labels = labelsToAskAbout(owner, planner)
      else { continue }
      askedAbout.insert(id)
      Task { await settleLabels(of: id, owner.key.kind, labels.source, labels.inherited) }
    }
  }

  /// What the backup is made from, and the labels that it would have; nil where it could not start now.
  private func labelsToAskAbout(
    _ owner: ResourceRecord, _ planner: Planner
  ) -> (source: PolicyContext.Source, inherited: [String: String])? {
    if owner.key.kind == .backup {
      guard let spec = try? volumeBackupSpec(owner),
        case .job = try? planner.plan(volumeBackup: owner.key.name, spec: spec)
      else { return nil }
      return (volumeSource(spec.volume), spec.labels)
    }
    guard let spec = try? backupSpec(owner), case .job = try? planner.plan(backup: owner.key.name, spec: spec) else {
      return nil
    }
    return (imageSource(spec.image), spec.labels)
  }

  private func settleLabels(
    of id: String, _ kind: ResourceKind, _ source: PolicyContext.Source, _ inherited: [String: String]
  ) async {
    let context = PolicyContext(
      kind: kind, source: source, labels: inherited, job: .init(id: id, kind: .backup, attempt: 1))
    let statement = await ask(.labels, context)
    defer {
      askedAbout.remove(id)
      wanted.raise()
    }
    guard let owner = machines[id]?.record.job.owner, let uid = resources[owner]?.uid else { return }
    guard let statement else {
      labelled.insert(id)
      return
    }
    let decided = decide(labels: statement, inherited: inherited)
    let record = decided.record(for: uid, job: id)
    var changes: [CatalogChange] = [.addDecision(record)]
    if let warning = decided.decision.warning { changes.append(event(.warning, owner, job: id, message: warning)) }
    do { try catalog.commit(changes) } catch {
      logger.error(
        "catalog write failed; will be tried again", metadata: ["job": "\(id)", "error": "\(error)"])
      try? await environment.sleep(5)
      return
    }
    remember(record)
    changed.raise()
    report(decided, id)
  }

  private func decide(labels statement: PolicyStatement, inherited: [String: String]) -> DecidedPolicy {
    let script = statement.said.script
    var problem = statement.said.failure
    if problem == nil {
      do throws(Fault) {
        let labels = try LabelsAnswer(statement.said.output).applied(to: inherited)
        let shown = labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }.joined(separator: ", ")
        return statement.decided(
          .labels,
          reason: labels == inherited
            ? "\(script) left the labels as they are" : "\(script) made the labels \(shown.isEmpty ? "none" : shown)")
      } catch {
        problem = "\(script): \(error.message)"
      }
    }
    return statement.decided(
      .labels, reason: "the inherited labels",
      warning: "the policy gave no labels, so the inherited ones were taken: \(problem ?? "")")
  }

  // MARK: What users ask

  /// The files of the hooks folder; where looking at changes takes long, as they were before.
  public func hooks() async -> [HookFile] { await policies?.files(withinSeconds: 5) ?? [] }

  /// What a policy would decide. Nothing is done with it, and nothing of it is kept.
  public func testHook(_ point: PolicyPoint, _ question: HookQuestion) async throws -> HookTrial {
    guard point == .naming || point == .labels else {
      throw Fault(.notSupported, "policies for \(point.rawValue) are not asked by this version of Drover")
    }
    let input = try context(point, question)
    var trial = HookTrial(decision: nil, point: point, input: input)
    guard let policies, let said = await policies.ask(point, input) else { return trial }
    let again = await policies.ask(point, input)
    trial.repeatable = again?.output == said.output && again?.failure == said.failure
    let statement = PolicyStatement(said: said, inputDigest: "", time: environment.now())
    trial.printed = said.printed
    switch point {
    case .labels:
      let inherited = (input["labels"]?.object ?? [:]).compactMapValues(\.string)
      let decided = decide(labels: statement, inherited: inherited)
      let answer = decided.decision.fallback ? nil : try? LabelsAnswer(said.output)
      trial.decision = decided.decision
      trial.result = .object((answer?.applied(to: inherited) ?? inherited).mapValues { .string($0) })
    default:
      trial.decision = try trialName(statement, input, &trial.result)
    }
    return trial
  }

  private func trialName(
    _ statement: PolicyStatement, _ input: JSONValue, _ result: inout JSONValue
  ) throws -> PolicyDecision {
    let kind = input["kind"]?.string.flatMap { ResourceKind(rawValue: $0) } ?? .backupBackingImage
    let script = statement.said.script
    var problem = statement.said.failure
    if problem == nil {
      do throws(Fault) {
        guard let name = try NamingAnswer(statement.said.output, kind: kind).name else {
          return statement.decided(.naming, reason: "\(script) left the built-in name").decision
        }
        result = .string(free(name, kind))
        return statement.decided(.naming, reason: "\(script) gave the name \(name)").decision
      } catch {
        problem = "\(script): \(error.message)"
      }
    }
    return statement.decided(.naming, reason: "the built-in name", warning: problem).decision
  }

  private func context(_ point: PolicyPoint, _ question: HookQuestion) throws -> JSONValue {
    switch question {
    case .input(let given):
      guard var members = given.object else {
        throw Fault(.invalid, "the input must be an object, the ctx of docs/hooks.md")
      }
      members["api"] = members["api"] ?? 1
      members["point"] = members["point"] ?? .string(point.rawValue)
      return .object(members)
    case .live(let key):
      let record = try existing(key)
      var source: PolicyContext.Source
      var labels: [String: String] = [:]
      switch key.kind {
      case .backingImage: source = imageSource(key.name)
      case .backupBackingImage:
        let spec = try backupSpec(record)
        source = imageSource(spec.image)
        labels = spec.labels
      default:
        throw Fault(.invalid, "\(key) has no backup that is named or labelled", hint: "name an image, or a backup")
      }
      return PolicyContext(
        kind: .backupBackingImage, source: source, labels: labels,
        job: .init(id: "job-0000000000000000", kind: .backup, attempt: 1)
      ).json(point, now: environment.now())
    }
  }
}

/// What a policy is tried on.
public enum HookQuestion: Sendable, Hashable {
  /// A `ctx`.
  case input(JSONValue)
  /// The `ctx` for a backup that is there, or for a new one of an image that is there.
  case live(ResourceKey)
}

extension Policies {
  /// Nil where there is no folder of hooks or nobody to run them.
  init?(_ configuration: EngineConfiguration, _ environment: EngineEnvironment, _ logger: Logger) {
    guard let folder = configuration.hooksFolder, let host = environment.policyHost else { return nil }
    self.init(
      folder: folder, host: host,
      limits: PolicyLimits(
        instructions: configuration.policyInstructions, memoryBytes: configuration.policyMemoryBytes,
        deadlineMilliseconds: configuration.policyDeadlineMilliseconds),
      logger: logger)
  }
}
