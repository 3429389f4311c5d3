import DroverModel
import Testing

@Suite struct SpecChangeTests {
  private func changes(
    _ old: [String: JSONValue], _ new: [String: JSONValue], _ state: BackingImage.State = .ready,
    checksum: String? = nil
  ) throws -> [SpecChange] {
    try imageSpec(old).changes(to: imageSpec(new), name: "parrot", state: state, checksum: checksum)
  }

  @Test func theSameSpecInAnotherSpellingIsNoChange() throws {
    #expect(try changes(downloadSpec, downloadSpec).isEmpty)
    var spelt = downloadSpec
    spelt["checksum"] = .string("  \(sampleChecksum)")
    spelt["secret"] = ""
    spelt["dataEngine"] = "v1"
    #expect(try changes(downloadSpec, spelt).isEmpty)
  }

  @Test func theSourceStays() throws {
    var other = downloadSpec
    other["sourceParameters"] = ["url": "https://host.example/other.raw"]
    for state in BackingImage.State.allCases where state != .failed {
      let changes = try changes(downloadSpec, other, state)
      #expect(changes.map(\.field) == ["spec.sourceParameters"])
      #expect(changes[0].refusal?.code == .conflict)
    }
    let afterFailure = try changes(downloadSpec, other, .failed)
    #expect(afterFailure.map(\.refusal) == [nil])
    #expect(afterFailure[0].restartsWork)
  }

  @Test func aChecksumMayComeLaterIfItIsRight() throws {
    var without = downloadSpec
    without["checksum"] = nil
    #expect(try changes(without, downloadSpec, checksum: sampleChecksum).map(\.refusal) == [nil])
    #expect(try changes(downloadSpec, without, checksum: sampleChecksum).map(\.refusal) == [nil])
    #expect(try changes(without, downloadSpec, .inProgress)[0].refusal?.code == .conflict)
    var other = downloadSpec
    other["checksum"] = .string(String(sampleChecksum.reversed()))
    #expect(try changes(downloadSpec, other, checksum: sampleChecksum)[0].refusal?.code == .conflict)
  }

  @Test func clusterFieldsMayChange() throws {
    var other = downloadSpec
    other["minNumberOfCopies"] = 2
    let changes = try changes(downloadSpec, other)
    #expect(changes == [SpecChange("spec.minNumberOfCopies")])
  }

  @Test func aBackupIsWrittenOnce() throws {
    let old = BackupBackingImage.Spec(image: "parrot", labels: ["a": "b"])
    let new = BackupBackingImage.Spec(image: "parrot", labels: ["a": "c"])
    #expect(old.changes(to: old, name: "parrot", state: .completed).isEmpty)
    #expect(old.changes(to: new, name: "parrot", state: .completed)[0].refusal?.code == .conflict)
    #expect(old.changes(to: new, name: "parrot", state: .error).allSatisfy { $0.refusal == nil && $0.restartsWork })
  }

  @Test func aTargetMovesOnlyWhenEmpty() throws {
    let old = BackupTarget.Spec(url: TargetURL(folder: "/a"))
    let new = BackupTarget.Spec(url: TargetURL(folder: "/b"))
    let user = ResourceKey(.backupBackingImage, "parrot")
    #expect(old.changes(to: new, name: "t", dependents: [])[0].refusal == nil)
    #expect(old.changes(to: new, name: "t", dependents: [user])[0].refusal?.code == .inUse)
    let same = BackupTarget.Spec(url: try TargetURL("vfs:///a/"))
    #expect(old.changes(to: same, name: "t", dependents: [user]).isEmpty)
  }
}
