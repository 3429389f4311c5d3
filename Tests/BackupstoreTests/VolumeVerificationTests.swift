import LinuxSystem
import TestKit
import Testing

@testable import Backupstore

/// What a restore refuses, a verification reports, with the restore's own words.
@Suite struct VolumeVerificationTests {
  static let parrot = SourceImage.filled([1, 2, 9])

  let bench: Workbench
  let store: MemoryStore
  let volume: VolumeStore

  init() throws {
    (bench, store) = Workbench.memory()
    try bench.backUp(Self.parrot, as: "parrot")
    var volume = try VolumeStore([5, nil, 6], in: store)
    volume.volume.backingImageName = "parrot"
    volume.volume.backingImageChecksum = Self.parrot.checksum
    try volume.write(to: store)
    self.volume = volume
  }

  private func verify(
    _ scope: VerificationScope = .all, on other: (any ObjectStore)? = nil
  ) throws -> VerifiedBackup {
    let session = other.map { bench.on($0).session } ?? bench.session
    let report = try StoreVerification(.init(scope: scope), session).run()
    return try #require(report.backups.first { $0.pool == .volume("vol-demo") })
  }

  /// Nil: it would begin.
  private func restoreError() -> StoreError? {
    storeError {
      let url = VolumeBackupURL(target: bench.target, volume: "vol-demo", backup: "backup-1")
      _ = try store.completeBase(of: store.completeVolumeBackup(url).volume)
    }
  }

  enum Harm: CaseIterable {
    case volumeGone, volumeCut, volumeWithoutSize, oddSize, blockBeyond, singleFile, blockSize
    case imageGone, imageUnfinished, imageCut, otherImage

    func apply(to store: MemoryStore, _ volume: VolumeStore) throws {
      var volume = volume
      switch self {
      case .volumeGone: return store[StoreLayout.volumeConfig("vol-demo")] = nil
      case .volumeCut: return store[StoreLayout.volumeConfig("vol-demo")] = Array(volume.volume.encoded().prefix(40))
      case .volumeWithoutSize: volume.volume.size = 0
      case .oddSize: volume.volume.size += 4096
      case .blockBeyond: volume.volume.size = 4 << 20
      case .singleFile: volume.backup.singleFile = "backupstore/volumes/one.img"
      case .blockSize: volume.backup.parameters = ["backup-block-size": "2048"]
      case .imageGone: return store[StoreLayout.imageConfig("parrot")] = nil
      case .imageUnfinished:
        return store[StoreLayout.imageConfig("parrot")] = ImageConfig(name: "parrot", size: 512).encoded()
      case .imageCut: return store[StoreLayout.imageConfig("parrot")] = Array("{".utf8)
      case .otherImage: volume.volume.backingImageChecksum = String(repeating: "ab", count: 64)
      }
      try volume.write(to: store)
    }
  }

  @Test func whatIsWholeIsGood() throws {
    #expect(restoreError() == nil)
    for scope in [VerificationScope.structure, .all] { #expect(try verify(scope).state == .good) }
    var alone = volume
    (alone.volume.backingImageName, alone.volume.backingImageChecksum) = ("", "")
    try alone.write(to: store)
    store[StoreLayout.imageConfig("parrot")] = nil
    #expect(try verify().state == .good, "it lies over no image")
  }

  @Test(arguments: Harm.allCases) func whatARestoreRefusesIsNotGood(_ harm: Harm) throws {
    try harm.apply(to: store, volume)
    let refusal = try #require(restoreError())
    for scope in [VerificationScope.structure, .all] {
      let backup = try verify(scope)
      #expect(backup.state == (harm == .blockSize ? .unreadable : .unrestorable))
      #expect(backup.reason.contains(refusal.message), "\(backup.reason) is not \(refusal.message)")
      #expect(backup.damagedBlocks == 0)
    }
  }

  /// Its blocks are looked after all the same.
  @Test func aBackupThatIsRefusedIsReadAllTheSame() throws {
    try Harm.volumeGone.apply(to: store, volume)
    let bad = volume.backup.blocks[1].name
    store[volume.path(bad)] = [1]
    let backup = try verify()
    #expect(backup.state == .unrestorable && backup.damagedBlocks == 1 && backup.damagedInPlace == 0)
    #expect(backup.reason.contains("cannot find volume") && backup.reason.contains("1 of its 2 blocks"))
    #expect(store[volume.path(bad)] == nil)
  }

  @Test func damageOfTheImageIsTheVolumesToo() throws {
    let name = Self.parrot.bytes.withUnsafeBytes {
      BlockName(of: UnsafeRawBufferPointer(rebasing: $0[..<SourceImage.block]))
    }
    store[StorePool.images.block(name)] = [1]
    #expect(try verify(.structure).state == .good)
    let backup = try verify()
    #expect(backup.state == .unrestorable && backup.reason.contains("the image parrot"))
    #expect(backup.damagedBlocks == 0)
  }

  /// The verdict is on what is there at the end.
  @Test func anImageThatComesMeanwhileIsThere() throws {
    let path = StoreLayout.imageConfig("parrot")
    let whole = store[path]
    store[path] = nil
    let (store, block) = (store, volume.path(volume.backup.blocks[0].name))
    let coming = ReactingStore(store) { call in
      if case .read(block) = call { store[path] = whole }
    }
    #expect(try verify(on: coming).state == .good)
  }

  /// What keeps the store from being read is no verdict.
  @Test func aStoreThatFailsJudgesNothing() throws {
    for nth in 1...200 {
      let faulty = FaultyStore(store, .call(nth))
      let error = storeError {
        let backup = try verify(.structure, on: faulty)
        #expect(backup.state == .good)
      }
      guard faulty.calls >= nth else { return }
      #expect(error != nil)
    }
    Issue.record("it makes more calls than expected")
  }
}
