import Backupstore
import DiskImage
import StageKit
import StoreStage

/// Opens what a request asks for, one thing over the other.
struct Opening {
  let params: RestoreParams
  let request: OpenRequest
  let host: any Host
  let store: any ObjectStore
  private let damage: DamageRecord?

  init(_ params: RestoreParams, _ request: OpenRequest, _ host: any Host) throws {
    self.params = params
    self.request = request
    self.host = host
    store = try request.openStore(params.target)
    damage = params.salvage ? DamageRecord(host) : nil
  }

  func device() throws -> RestoreDevice {
    switch params.backup {
    case .image(let url): try image(url)
    case .volume(let url): try volume(url)
    }
  }

  private func session(_ journal: LockJournal) -> StoreSession {
    StoreSession(
      store: store, observer: HostObserver(host: host), lockJournal: journal, timing: RestoreStage.timing)
  }

  private func options() -> ReadOptions {
    var options = ReadOptions(cacheBytes: params.cacheBytes)
    if let damage { options.onLoss = { damage.add($0) } }
    return options
  }

  private func image(_ url: ImageBackupURL) throws -> RestoreDevice {
    let session = session(RestoreStage.imageJournal(request))
    guard params.view == .guest else {
      let restore = try ImageRestore.open(url, session, options())
      do { try tell(of: restore) } catch {
        restore.close()
        throw error
      }
      // What has lost blocks has another checksum.
      let checksum = restore.config.checksum.isEmpty || params.salvage ? nil : restore.config.checksum
      return RestoreDevice(
        ImageView(restore), checksum: checksum, blockHashes: checksum == nil ? nil : restore.blockHashes())
    }
    return RestoreDevice(try disk(of: ImageRestore.open(url, session, strictly)) { try tell(of: $0) })
  }

  private func tell(of restore: ImageRestore) throws {
    try host.emit("source", SourceRecord(restore.config))
    if let secret = SecretRecord(restore.config) { try host.emit("result", secret) }
  }

  /// The disk that a guest sees in an image. Closes `restore`, which was opened `strictly`, where it throws.
  private func disk(of restore: ImageRestore, _ check: (ImageRestore) throws -> Void) throws -> any DiskView {
    do {
      try check(restore)
      // Its first bytes say what it is, and must not be zeros in their stead.
      if try Qcow2Image.hasMagic(StoredImage(restore)) { return try GuestView(restore, damage: damage) }
    } catch {
      restore.close()
      throw error
    }
    return ImageView(restore.changing(options()))
  }

  /// A qcow2 image is read in steps of its clusters, and goes to and fro.
  private var strictly: ReadOptions { ReadOptions(cacheBytes: max(params.cacheBytes, 64 << 20)) }

  private func volume(_ url: VolumeBackupURL) throws -> RestoreDevice {
    let restore = try VolumeRestore.open(url, session(RestoreStage.volumeJournal(request)), options())
    do {
      try host.emit("source", VolumeRecord(restore))
      if params.view == .blocks { return RestoreDevice(VolumeView(restore, over: nil), leavesHoles: true) }
      return RestoreDevice(VolumeView(restore, over: try base(of: restore)))
    } catch {
      restore.close()
      throw error
    }
  }

  /// The backing image's disk; nil for a volume without one.
  private func base(of restore: VolumeRestore) throws -> (any DiskView)? {
    guard let url = restore.volume.base(in: restore.url.target) else { return nil }
    do {
      let image = try ImageRestore.open(url, session(RestoreStage.imageJournal(request)), strictly)
      return try disk(of: image) { try $0.config.check(isBaseOf: restore.volume) }
    } catch {
      guard let damage, let reason = Self.lossReason(error) else { throw error }
      host.log(.warning, "the volume's backing image is lost: \(reason)")
      return LostView(size: restore.size, reason: "the backing image \(url.name) is lost: \(reason)", damage: damage)
    }
  }

  /// Nil: it is no loss, but something that may pass or be mended.
  private static func lossReason(_ error: any Error) -> String? {
    if let error = error as? Qcow2Error { return error.description }
    guard let error = error as? StoreError else { return nil }
    let codes: [StoreError.Code] = [
      .notFound, .badConfig, .unfinishedBackup, .checksumMismatch, .badBlock, .missingBlock,
    ]
    return codes.contains(error.code) ? error.message : nil
  }
}
