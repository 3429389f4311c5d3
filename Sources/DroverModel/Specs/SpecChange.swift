/// One difference between the spec that an object has and the one it is to get.
public struct SpecChange: Sendable, Hashable {
  /// `spec.checksum`.
  public var field: String
  /// Why it can't be made; nil: it can.
  public var refusal: Fault?
  /// The work that brought the object where it is must be done again.
  public var restartsWork: Bool

  public init(_ field: String, refusal: Fault? = nil, restartsWork: Bool = false) {
    self.field = field
    self.refusal = refusal
    self.restartsWork = restartsWork
  }
}

extension BackingImage.Spec {
  /// What differs in `new`. `state` and `checksum` are those of `status`.
  ///
  /// An image is what its source made it, so source and filters stay as they are, unless the image failed: then a
  /// corrected manifest starts over. A checksum may come later if the file has it, and may be dropped.
  public func changes(
    to new: Self, name: String, state: BackingImage.State, checksum known: String?
  ) -> [SpecChange] {
    let failed = state == .failed
    func fixed(_ field: String, _ why: String) -> SpecChange {
      guard !failed else { return SpecChange(field, restartsWork: true) }
      return SpecChange(
        field,
        refusal: Fault(
          .conflict, "changing \(field) of backingimage/\(name) is not possible: \(why)",
          hint: "make an image with another name, or delete this one first"))
    }
    var changes: [SpecChange] = []
    if source.type != new.source.type {
      changes.append(fixed("spec.sourceType", "it is \(source.type), and the image was made by it"))
    } else if source != new.source {
      changes.append(fixed("spec.sourceParameters", "the image was made with them"))
    }
    if filters != new.filters { changes.append(fixed("spec.filters", "the image was made with them")) }
    if checksum != new.checksum { changes.append(checksumChange(to: new, name: name, failed: failed, known: known)) }
    if secret != new.secret {
      changes.append(fixed("spec.secret", "changing secret for BackingImage \(name) is not supported"))
    }
    if secretNamespace != new.secretNamespace {
      changes.append(
        fixed("spec.secretNamespace", "changing secret namespace for BackingImage \(name) is not supported"))
    }
    return changes + inertChanges(inert, new.inert)
  }

  private func checksumChange(to new: Self, name: String, failed: Bool, known: String?) -> SpecChange {
    let field = "spec.checksum"
    guard !failed else { return SpecChange(field, restartsWork: true) }
    guard let wanted = new.checksum, wanted != known else { return SpecChange(field) }
    let why = known.map { "its file has \($0.prefix(16))…" } ?? "it is not known before the image is ready"
    return SpecChange(
      field,
      refusal: Fault(
        .conflict, "changing spec.checksum of backingimage/\(name) is not possible: \(why)",
        hint: known == nil ? "drover wait backingimage/\(name) --for ready" : "make an image with another name"))
  }
}

extension BackupBackingImage.Spec {
  /// What differs in `new`. A backup stands in the store as it was written; only a failed one may be asked for anew.
  public func changes(to new: Self, name: String, state: BackupBackingImage.State) -> [SpecChange] {
    let failed = state == .error
    // Who backs up what a record only mirrored makes it his own; the store says whether it holds the same.
    if !userCreated, new.userCreated, image == new.image, targetName == new.targetName {
      return [SpecChange("spec.userCreated", restartsWork: true)] + inertChanges(inert, new.inert)
    }
    var changes: [SpecChange] = []
    func compare(_ field: String, _ same: Bool) {
      guard !same else { return }
      guard !failed else { return changes.append(SpecChange(field, restartsWork: true)) }
      changes.append(
        SpecChange(
          field,
          refusal: Fault(
            .conflict,
            "changing \(field) of backupbackingimage/\(name) is not possible: the backup is written once",
            hint: "delete the backup first, which removes it from the store")))
    }
    compare("spec.backingImage", image == new.image)
    compare("spec.backupTargetName", targetName == new.targetName)
    compare("spec.userCreated", userCreated == new.userCreated)
    compare("spec.labels", labels == new.labels)
    compare("spec.compressionMethod", compression == new.compression)
    return changes + inertChanges(inert, new.inert)
  }
}

extension Volume.Spec {
  /// What differs in `new`. A volume is what it was made as; one that could not be made may be asked for anew.
  public func changes(to new: Self, name: String, isMade: Bool) -> [SpecChange] {
    var changes: [SpecChange] = []
    func fixed(_ field: String, _ same: Bool, _ why: String) {
      guard !same else { return }
      guard isMade else { return changes.append(SpecChange(field, restartsWork: true)) }
      let refusal = Fault(
        .conflict, "changing \(field) of volume/\(name) is not possible: \(why)",
        hint: "make a volume with another name, or delete this one first")
      changes.append(SpecChange(field, refusal: refusal))
    }
    fixed("spec.size", size == new.size, "this version makes no volume larger or smaller")
    fixed("spec.backingImage", backingImage == new.backingImage, "what it holds lies over that image")
    fixed("spec.fromBackup", fromBackup == new.fromBackup, "it was made from it")
    fixed("spec.encrypted", encrypted == new.encrypted, "what it holds is written so")
    if acceptBackingImage != new.acceptBackingImage {
      changes.append(SpecChange("spec.acceptBackingImage", restartsWork: !isMade))
    }
    fixed("spec.secret", secret == new.secret, "no other one opens it")
    if blockSize != new.blockSize {
      let refusal = Fault(
        .conflict, "changing spec.backupBlockSize of volume/\(name) is not possible: its backups build upon each other",
        hint: "make a volume with another name")
      changes.append(SpecChange("spec.backupBlockSize", refusal: isMade ? refusal : nil))
    }
    if compression != new.compression { changes.append(SpecChange("spec.backupCompressionMethod")) }
    if targetName != new.targetName { changes.append(SpecChange("spec.backupTargetName")) }
    if snapshotLimit != new.snapshotLimit { changes.append(SpecChange("spec.snapshotMaxCount")) }
    return changes + inertChanges(inert, new.inert)
  }
}

extension Snapshot.Spec {
  /// What differs in `new`. A snapshot is never changed; one that failed may be asked for anew.
  public func changes(to new: Self, name: String, isMade: Bool) -> [SpecChange] {
    var changes: [SpecChange] = []
    for (field, same) in [
      ("spec.volume", volume == new.volume), ("spec.snapshotName", snapshotName == new.snapshotName),
      ("spec.labels", labels == new.labels),
    ] where !same {
      let refusal = Fault(
        .conflict, "changing \(field) of snapshot/\(name) is not possible: it is a snapshot of volume/\(volume)",
        hint: "make a snapshot with another name")
      changes.append(SpecChange(field, refusal: isMade ? refusal : nil, restartsWork: !isMade))
    }
    return changes
  }
}

extension Backup.Spec {
  /// What differs in `new`. A backup stands in the store as it was written; only a failed one may be asked for anew.
  public func changes(to new: Self, name: String, state: BackupBackingImage.State) -> [SpecChange] {
    let failed = state == .error && userCreated
    var changes: [SpecChange] = []
    for (field, same) in [
      ("spec.volumeName", volume == new.volume), ("spec.backupName", backupName == new.backupName),
      ("spec.backupTargetName", targetName == new.targetName || new.targetName == nil),
      ("spec.snapshotName", snapshotName == new.snapshotName || new.snapshotName == nil),
      ("spec.labels", labels == new.labels), ("spec.backupMode", mode == new.mode),
      ("spec.backupBlockSize", blockSize == new.blockSize), ("spec.compressionMethod", compression == new.compression),
      ("spec.userCreated", userCreated == new.userCreated),
    ] where !same {
      let refusal = Fault(
        .conflict, "changing \(field) of backup/\(name) is not possible: the backup is written once",
        hint: "make a backup with another name")
      changes.append(SpecChange(field, refusal: failed ? nil : refusal, restartsWork: failed))
    }
    return changes + inertChanges(inert, new.inert)
  }
}

extension Secret.Spec {
  /// What differs in `new`; the values of `self` are those that are kept. `dependents` are images that only the
  /// passphrase opens: it stays as it is while there are any.
  public func changes(to new: Self, _ reference: SecretReference, dependents: [ResourceKey]) -> [SpecChange] {
    var changes: [SpecChange] = []
    if type != new.type { changes.append(SpecChange("type")) }
    for key in Set(values.keys).union(new.values.keys).sorted() where values[key] != new.values[key] {
      var refusal: Fault?
      if key == CryptoSettings.passphraseKey, values[key]?.isEmpty == false, !dependents.isEmpty {
        let names = dependents.map(\.description).joined(separator: ", ")
        refusal = Fault(
          .inUse, "changing \(key) of \(reference.key) is not possible: it is the key of \(names)",
          hint: "drover image create NEW --from-image IMAGE --rekey gives an image another passphrase")
      }
      changes.append(SpecChange("stringData.\(key)", refusal: refusal))
    }
    return changes
  }
}

extension BackupTarget.Spec {
  /// What differs in `new`. `dependents` are the objects whose data lies in the store.
  public func changes(to new: Self, name: String, dependents: [ResourceKey]) -> [SpecChange] {
    var changes: [SpecChange] = []
    if url != new.url {
      let refusal = dependents.first.map { first in
        Fault(
          .inUse, "changing spec.backupTargetURL of backuptarget/\(name) is not possible: \(first) lies there",
          hint: "make a target with another name")
      }
      changes.append(SpecChange("spec.backupTargetURL", refusal: refusal, restartsWork: true))
    } else if url.text != new.url.text {
      // The same store, reached in another way.
      changes.append(SpecChange("spec.backupTargetURL", restartsWork: true))
    }
    if pollSeconds != new.pollSeconds { changes.append(SpecChange("spec.pollInterval")) }
    if credentialSecret != new.credentialSecret { changes.append(SpecChange("spec.credentialSecret")) }
    return changes + inertChanges(inert, new.inert)
  }
}

private func inertChanges(_ old: [String: JSONValue], _ new: [String: JSONValue]) -> [SpecChange] {
  Set(old.keys).union(new.keys).sorted().filter { old[$0] != new[$0] }.map { SpecChange("spec.\($0)") }
}
