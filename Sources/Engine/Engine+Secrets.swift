import ChildProtocol
import DroverModel
import Logging
import Planner

// Secrets: sealed in the catalog, opened only to be compared or sent to a worker.

extension Engine {
  /// What the planner may know of a Secret. Where its values can't be opened, that is asked again the next time.
  func secretFacts(_ reference: SecretReference) -> Facts.SecretFacts {
    if let known = knownSecrets[reference] { return known }
    do {
      let values = try openValues(of: reference)
      var facts = Facts.SecretFacts(
        hasPassphrase: values[CryptoSettings.passphraseKey].map { !$0.isEmpty } ?? false)
      for key in CryptoSettings.settingKeys {
        facts.settings[key] = values[key]?.withBytes { String(decoding: $0, as: UTF8.self) }
      }
      knownSecrets[reference] = facts
      return facts
    } catch {
      let fault = error as? Fault ?? Fault(.internalError, "could not read \(reference.key): \(error)")
      return Facts.SecretFacts(hasPassphrase: false, fault: fault)
    }
  }

  /// Throws what `Keyring.open` throws.
  func openValues(of reference: SecretReference) throws -> [String: SecretBytes] {
    var values: [String: SecretBytes] = [:]
    for sealed in try catalog.sealedValues(of: reference) {
      values[sealed.key] = try keyring.open(sealed, of: reference)
    }
    return values
  }

  /// What goes to a worker before its order: the values that the pipeline names, in its order.
  func secrets(for pipeline: Pipeline) throws -> [OrderSecret] {
    let single = try pipeline.secrets.map { use in
      guard resources[use.secret.key] != nil else {
        throw Fault(
          .keyMissing, "failed to get the secret \(use.secret.name) in the namespace \(use.secret.namespace)",
          hint: "drover secret create \(use.secret)", retry: .afterFix)
      }
      guard let sealed = try catalog.sealedValues(of: use.secret).first(where: { $0.key == use.key }) else {
        throw Fault(
          .keyMissing, "\(use.secret.key) has no value \(use.key)", hint: "apply the Secret with it",
          retry: .afterFix)
      }
      return OrderSecret(
        name: JobOrder.SecretName(stage: use.stage, name: use.name), bytes: try keyring.open(sealed, of: use.secret))
    }
    return try pipeline.credentials.reduce(into: single) { all, use in
      guard resources[use.secret.key] != nil else {
        throw Fault(
          .keyMissing, "the credentials of the backup target are missing: there is no \(use.secret.key)",
          hint: "apply the Secret \(use.secret.name) in the namespace \(use.secret.namespace)", retry: .afterFix)
      }
      for sealed in try catalog.sealedValues(of: use.secret) {
        let name = JobOrder.SecretName(stage: use.stage, name: sealed.key)
        all.append(OrderSecret(name: name, bytes: try keyring.open(sealed, of: use.secret)))
      }
    }
  }

  /// What an attempt has made can be removed without a key, but not without the credentials that reach it, which may be
  /// others than when it was planned.
  func secrets(toDiscard job: Job) throws -> [OrderSecret] {
    var pipeline = job.pipeline
    let target = job.target.flatMap { resources[ResourceKey(.backupTarget, $0)] }
    if let secret = target.flatMap({ try? targetSpec($0) })?.credentials {
      for index in pipeline.credentials.indices { pipeline.credentials[index].secret = secret }
    }
    if (try? secrets(for: Pipeline(from: [], to: [], secrets: pipeline.secrets))) == nil { pipeline.secrets = [] }
    return try secrets(for: pipeline)
  }

  /// The rows that a Secret's values become.
  func seal(_ values: [String: SecretBytes], of reference: SecretReference) throws -> [SealedValue] {
    let key = try keyring.keyForSealing(sealed: try catalog.holdsSecrets())
    return values.sorted { $0.key < $1.key }.map { key.seal($0.value, $0.key, of: reference) }
  }

  /// Images that only this Secret opens, or that are being made with it.
  func images(needing reference: SecretReference) -> [ResourceKey] {
    resources.values.filter { record in
      guard record.key.kind == .backingImage, let spec = try? imageSpec(record) else { return false }
      let status = BackingImage.Status(record.status)
      switch status.state {
      // Nothing of it is left.
      case .failed: return false
      case .ready, .unknown: return spec.secretReference == reference || status.secretReference == reference
      case .pending, .starting, .inProgress:
        return spec.secretReference == reference || spec.source.encryption.secrets.contains(reference)
      }
    }.map(\.key).sorted { $0.name < $1.name }
  }

  /// Targets whose credentials the Secret holds.
  func targets(needing reference: SecretReference) -> [ResourceKey] {
    guard reference.namespace == SecretReference.defaultNamespace else { return [] }
    return resources.values.filter { record in
      record.key.kind == .backupTarget && (try? targetSpec(record))?.credentials == reference
    }.map(\.key)
  }

  /// The targets of a Secret are looked at again, and what waits for one of them is tried with what it holds now.
  func credentialsChanged(_ reference: SecretReference) {
    for target in targets(needing: reference) {
      outdateLook(at: target.name)
      guard var record = resources[target] else { continue }
      record.status = TargetController.applied(record.status)
      do { try update(record) } catch {
        logger.error("catalog write failed", metadata: ["target": "\(target.name)", "error": "\(error)"])
      }
      wakeJobs(about: target)
    }
    pollTargets()
  }

  /// The image's status as its Secret makes it look; see `ImageController.named`.
  func named(_ record: ResourceRecord, by result: [String: JSONValue]) -> [String: JSONValue] {
    ImageController.named(
      record.status, (try? imageSpec(record))?.secretReference, result, isThere: { resources[$0.key] != nil })
  }

  /// Encrypted images take over the Secret that their backup names as soon as it is there.
  func nameSecretsOfImages() {
    for var record in resources.values where record.key.kind == .backingImage && !record.deleting {
      let status = BackingImage.Status(record.status)
      guard status.state == .ready, status.encrypted, status.secret == nil, let id = status.job,
        let result = machines[id]?.record.job.result
      else { continue }
      record.status = named(record, by: result)
      try? update(record)
    }
  }
}

/// A secret on its way to a stage.
struct OrderSecret: Sendable {
  var name: JobOrder.SecretName
  var bytes: SecretBytes
}
