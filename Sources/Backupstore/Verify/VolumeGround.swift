/// What all backups of a volume stand on: the volume's own config, and the backup of the image that it lies over. As a
/// restore judges them.
struct VolumeGround {
  private let store: any ObjectStore
  private let volume: Result<VolumeConfig, StoreError>
  /// Why the image can't be restored; nil: nothing is known against it, or there is none.
  private let base: StoreError?

  /// - Parameter images: What is known of the images' backups in the store.
  init(_ name: String, in store: any ObjectStore, images: [VerifiedBackup]) throws(StoreError) {
    self.store = store
    volume = try Self.judged { () throws(StoreError) in try store.backedUpVolume(name) }
    guard case .success(let volume) = volume else {
      base = nil
      return
    }
    let image = try Self.judged { () throws(StoreError) in try store.completeBase(of: volume) }
    switch image {
    case .success(nil): base = nil
    case .failure(let error):
      base = StoreError(error.code, "the image \(volume.backingImageName) that the volume lies over: \(error.message)")
    case .success(let image?):
      let found = images.first { $0.pool == .images && $0.name == image.name && $0.state == .damaged }
      base = found.map {
        StoreError(.badBlock, "the image \(image.name) that the volume lies over is damaged: \($0.reason)")
      }
    }
  }

  /// Why a restore would refuse the complete backup; nil: it would not.
  func refusal(of backup: VolumeBackupConfig) throws(StoreError) -> StoreError? {
    let result = try Self.judged { () throws(StoreError) in try store.checkComplete(backup, of: volume.get()) }
    if case .failure(let error) = result { return error }
    return base
  }

  /// What is wrong with something in the store is an answer; what keeps the store from being read is thrown.
  private static func judged<Value>(
    _ body: () throws(StoreError) -> Value
  ) throws(StoreError) -> Result<Value, StoreError> {
    do throws(StoreError) {
      return .success(try body())
    } catch {
      let answers: [StoreError.Code] = [
        .notFound, .unfinishedBackup, .badConfig, .notSupported, .checksumMismatch,
      ]
      guard answers.contains(error.code) else { throw error }
      return .failure(error)
    }
  }
}
