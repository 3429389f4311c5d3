import DroverModel

/// What a table shows of the objects of one kind.
struct ObjectColumns {
  var header: [String]
  var row: (Resource) -> [String]

  /// `now` in seconds since 1970, for ages.
  init(_ kind: ResourceKind, wide: Bool, now: Double) {
    func age(_ resource: Resource) -> String {
      guard let time = resource.metadata.creationTimestamp.flatMap({ Timestamp.parse($0) }) else { return "-" }
      return TimeSpan.text(max(1, now - time))
    }
    switch kind {
    case .backingImage:
      header = ["NAME", "STATE", "PROGRESS", "SIZE", "SOURCE", "AGE"]
      row = { image in
        let status = BackingImage.Status(image.status)
        return [
          image.metadata.name, status.state.rawValue, "\(status.progress)%", size(status.size),
          image.spec["sourceType"]?.string ?? "download", age(image),
        ]
      }
      guard wide else { return }
      add(["FORMAT", "ENCRYPTED", "VIRTUAL", "ON DISK", "CHECKSUM", "PATH", "MESSAGE"]) { image in
        let status = BackingImage.Status(image.status)
        return [
          text(status.format), status.encrypted ? text(status.secretReference?.description ?? "yes") : "no",
          size(status.virtualSize), size(status.realSize), short(status.checksum),
          text(status.path), text(status.message),
        ]
      }
    case .backupBackingImage:
      header = ["NAME", "STATE", "PROGRESS", "IMAGE", "TARGET", "SIZE", "AGE"]
      row = { backup in
        let status = BackupBackingImage.Status(backup.status)
        return [
          backup.metadata.name, status.state.rawValue, "\(status.progress)%", text(status.backingImage),
          backup.spec["backupTargetName"]?.string ?? BackupTarget.defaultName, size(status.size), age(backup),
        ]
      }
      guard wide else { return }
      add(["COMPRESSION", "CHECKSUM", "LABELS", "URL", "ERROR"]) { backup in
        let status = BackupBackingImage.Status(backup.status)
        let labels = status.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return [
          text(status.compressionMethod), short(status.checksum), text(labels.joined(separator: ",")),
          text(status.url), text(status.error),
        ]
      }
    case .backup:
      header = ["NAME", "STATE", "VOLUME", "SNAPSHOT", "IMAGE", "TARGET", "SIZE", "AGE"]
      row = { backup in
        let status = Backup.Status(backup.status)
        return [
          backup.metadata.name, status.state.rawValue, text(status.volumeName), text(status.snapshotName),
          text(status.volumeBackingImageName), text(backup.spec["backupTargetName"]?.string), size(status.size),
          age(backup),
        ]
      }
      guard wide else { return }
      add(["INCREMENTAL", "COMPRESSION", "LABELS", "URL", "ERROR"]) { backup in
        let status = Backup.Status(backup.status)
        let labels = status.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return [
          status.isIncremental ? "yes" : "no", text(status.compressionMethod), text(labels.joined(separator: ",")),
          text(status.url), text(status.error),
        ]
      }
    case .volume:
      header = ["NAME", "STATE", "ROBUSTNESS", "SIZE", "ON DISK", "IMAGE", "LAST BACKUP", "AGE"]
      row = { volume in
        let status = Volume.Status(volume.status)
        return [
          volume.metadata.name, status.state.rawValue, status.robustness.rawValue, size(status.size),
          size(status.actualSize), text(status.backingImage), text(status.lastBackupAt), age(volume),
        ]
      }
      guard wide else { return }
      add(["ENCRYPTED", "FRONTEND", "RESTORED FROM", "PATH", "MESSAGE"]) { volume in
        let status = Volume.Status(volume.status)
        return [
          status.encrypted ? text(status.secretReference?.description ?? "yes") : "no",
          text(status.frontend?["uri"]?.string), text(status.restoredFrom), text(status.path), text(status.message),
        ]
      }
    case .snapshot:
      header = ["NAME", "VOLUME", "READY", "CREATED", "SIZE", "PARENT", "CHILDREN"]
      row = { snapshot in
        let status = Snapshot.Status(snapshot.status)
        return [
          snapshot.spec["snapshotName"]?.string ?? snapshot.metadata.name, text(snapshot.spec["volume"]?.string),
          String(status.readyToUse), text(status.creationTime), size(status.size), text(status.parent),
          text(status.children.joined(separator: ",")),
        ]
      }
      guard wide else { return }
      add(["OBJECT", "LABELS", "ERROR"]) { snapshot in
        let status = Snapshot.Status(snapshot.status)
        let labels = status.labels.sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
        return [snapshot.metadata.name, text(labels.joined(separator: ",")), text(status.error)]
      }
    case .backupTarget:
      header = ["NAME", "AVAILABLE", "URL", "SYNCED", "AGE"]
      row = { target in
        let status = BackupTarget.Status(target.status)
        let url = target.spec["backupTargetURL"]?.string
        return [
          target.metadata.name, String(status.available), text(url), text(status.lastSyncedAt), age(target),
        ]
      }
      guard wide else { return }
      add(["MESSAGE"]) { [text(BackupTarget.Status($0.status).conditions.first { $0.status }?.message)] }
    case .secret:
      header = ["NAME", "NAMESPACE", "TYPE", "KEYS", "AGE"]
      row = { secret in
        [
          secret.metadata.name, secret.metadata.namespace ?? SecretReference.defaultNamespace,
          text(secret.spec["type"]?.string), text(Secret.Status(secret.status).keys.joined(separator: ",")),
          age(secret),
        ]
      }
    case .job:
      header = ["ID", "TYPE", "FOR", "STATE", "PROGRESS", "PHASE", "RATE", "ETA", "ATTEMPT", "AGE"]
      row = { job in
        let progress = JobProgress(job)
        return [
          job.metadata.name, text(job.status["type"]?.string), progress.owner, progress.state,
          "\(progress.percent)%", text(progress.phase), progress.rate.map { "\(ByteSize.text($0))/s" } ?? "-",
          progress.etaSeconds.map { TimeSpan.text(Double(max(1, $0))) } ?? "-", String(progress.attempt), age(job),
        ]
      }
      guard wide else { return }
      add(["DONE", "TARGET", "ERROR"]) { job in
        let progress = JobProgress(job)
        let done = progress.bytesDone.map { done in
          progress.bytesTotal.map { "\(ByteSize.text(done))/\(ByteSize.text($0))" } ?? ByteSize.text(done)
        }
        return [text(done), text(job.status["target"]?.string), text(job.status["error"]?["message"]?.string)]
      }
    }
  }

  private mutating func add(_ names: [String], _ cells: @escaping (Resource) -> [String]) {
    let narrow = row
    header += names
    row = { narrow($0) + cells($0) }
  }
}

private func size(_ bytes: Int64?) -> String { bytes.map { ByteSize.text($0) } ?? "-" }
private func text(_ text: String?) -> String { text.flatMap { $0.isEmpty ? nil : $0 } ?? "-" }
private func short(_ checksum: String?) -> String { checksum.map { "\($0.prefix(16))…" } ?? "-" }
