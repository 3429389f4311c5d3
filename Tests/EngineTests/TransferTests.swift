import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

@testable import Engine

struct TransferTests {
  private func upload(_ fixture: EngineFixture) async throws {
    try await fixture.apply(EngineFixture.image("parrot", "upload", [:]))
  }

  @Test func anUploadIsHandedToTheWorkerAsDescriptorThree() async throws {
    let fixture = try await EngineFixture()
    try await upload(fixture)
    let waiting = try await fixture.image("parrot")
    #expect(waiting.status["state"] == "pending")
    #expect(waiting.status["message"]?.string?.contains("waiting for the content") == true)
    let transfer = try await fixture.engine.beginUpload(image: "parrot", length: 1024, by: .daemon)
    #expect(fcntl(transfer.descriptor, F_GETFL) & O_NONBLOCK != 0)
    let image = try await transfer.result()
    close(transfer.descriptor)
    #expect(image.status["state"] == "ready")
    #expect(fixture.workers.descriptors(transfer.job) == [3])
    let source = try #require(fixture.workers.orders(transfer.job).first?.pipeline.from.first)
    #expect(source.params == ["descriptor": 3, "size": 1024])
    let again = await fixture.fault { try await fixture.engine.beginUpload(image: "parrot", length: 512, by: .daemon) }
    #expect(again?.code == .conflict)
    try await fixture.stop()
  }

  @Test func anUploadWhoseClientGoesAwayFailsAndLeavesNothing() async throws {
    let fixture = try await EngineFixture(FakeWorkers { worker, _ in await worker.runUntilStopped() })
    try await upload(fixture)
    let transfer = try await fixture.engine.beginUpload(image: "parrot", length: nil, by: .daemon)
    try await fixture.job(transfer.job, is: "running")
    try await eventually("it is admitted") {
      await fixture.engine.machines[transfer.job]?.record.leftovers == true
    }
    await transfer.abort()
    let fault = await fixture.fault { try await transfer.result() }
    close(transfer.descriptor)
    #expect(fault?.code == .uploadInterrupted)
    #expect(fixture.workers.orders(transfer.job).map(\.mode) == [.run, .discard])
    #expect(try await fixture.image("parrot").status["state"] == "failed")
    // The image is still there to be filled.
    fixture.workers.copies { await $0.succeed($1) }
    let second = try await fixture.engine.beginUpload(image: "parrot", length: nil, by: .daemon)
    #expect(try await second.result().status["state"] == "ready")
    close(second.descriptor)
    try await fixture.stop()
  }

  @Test func whatCanNotBeUploadedIsRefused() async throws {
    let fixture = try await EngineFixture()
    try await upload(fixture)
    try await fixture.apply(EngineFixture.image("other"))
    let odd = await fixture.fault { try await fixture.engine.beginUpload(image: "parrot", length: 1000, by: .daemon) }
    #expect(odd?.code == .badSize)
    let wrong = await fixture.fault { try await fixture.engine.beginUpload(image: "other", length: 512, by: .daemon) }
    #expect(wrong?.code == .conflict)
    let none = await fixture.fault { try await fixture.engine.beginUpload(image: "ghost", length: 512, by: .daemon) }
    #expect(none?.code == .notFound)
    try await fixture.stop()
  }

  @Test func oneUploadAtATime() async throws {
    let fixture = try await EngineFixture(FakeWorkers { worker, _ in await worker.runUntilStopped() })
    try await upload(fixture)
    let first = try await fixture.engine.beginUpload(image: "parrot", length: nil, by: .daemon)
    let fault = await fixture.fault { try await fixture.engine.beginUpload(image: "parrot", length: nil, by: .daemon) }
    #expect(fault?.code == .conflict)
    await first.abort()
    close(first.descriptor)
    try await fixture.stop()
  }

  @Test func aSaveReadsAnImageThatIsReady() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    let transfer = try await fixture.engine.beginSave(image: "parrot", by: .daemon)
    #expect(transfer.size == 1024)
    #expect(try await transfer.result().metadata.name == "parrot")
    close(transfer.descriptor)
    let order = try #require(fixture.workers.orders(transfer.job).first)
    #expect(order.pipeline.to.map(\.stage) == ["save"])
    try await fixture.apply(EngineFixture.image("empty", "upload", [:]))
    let fault = await fixture.fault { try await fixture.engine.beginSave(image: "empty", by: .daemon) }
    #expect(fault?.code == .conflict)
    try await fixture.stop()
  }

  @Test func savesRunSideBySideAndKeepTheImage() async throws {
    let fixture = try await EngineFixture()
    try await fixture.apply(EngineFixture.image("parrot"))
    try await fixture.image("parrot", is: "ready")
    fixture.workers.copies { worker, _ in await worker.runUntilStopped() }
    let one = try await fixture.engine.beginSave(image: "parrot", by: .daemon)
    let two = try await fixture.engine.beginSave(image: "parrot", by: .daemon)
    try await fixture.job(one.job, is: "running")
    try await fixture.job(two.job, is: "running")
    let fault = await fixture.fault {
      try await fixture.engine.delete(ResourceKey(.backingImage, "parrot"), force: false, by: .daemon)
    }
    #expect(fault?.code == .inUse)
    await one.abort()
    await two.abort()
    try await fixture.job(one.job, is: "failed")
    #expect(try await fixture.image("parrot").status["state"] == "ready")
    close(one.descriptor)
    close(two.descriptor)
    try await fixture.stop()
  }
}
