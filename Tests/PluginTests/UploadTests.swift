import Dispatch
import Foundation
import LinuxSystem
import StageKit
import Synchronization
import TestKit
import Testing
import UploadStage

final class PatientHost: StageKit.Host {
  let cancelled = Mutex(false)
  /// Asked for once the stage waits.
  let asked = Mutex(0)
  func log(_ level: LogLevel, _ message: String) {}
  var isCancelled: Bool {
    asked.withLock { $0 += 1 }
    return cancelled.withLock { $0 }
  }
  func emit(_ kind: String, json: String) {}
  func phase(_ phase: String, detail: String?) {}
  func progress(done: UInt64, total: UInt64) {}
}

/// The two ends of a stream; the stage owns one.
struct StreamEnds {
  let stage: Int32
  let client: Int32
  init() {
    var ends: [Int32] = [-1, -1]
    #expect(socketpair(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0, &ends) == 0)
    stage = ends[0]
    client = ends[1]
  }

  /// Sends from a thread of its own, then closes.
  func send(_ bytes: [UInt8], pieces: Int = 65536) {
    Thread.detachNewThread { [client] in
      var done = 0
      while done < bytes.count {
        let count = bytes[done..<min(done + pieces, bytes.count)].withUnsafeBytes {
          Foundation.send(client, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
        }
        guard count > 0 else { break }
        done += count
      }
      close(client)
    }
  }
}

func bytes(_ count: Int) -> [UInt8] {
  var noise = Noise(seed: 5)
  return noise.bytes(count)
}

func request(_ role: OpenRequest.Role, _ descriptor: Int32, size: String? = nil, stallSeconds: Int = 30) -> OpenRequest
{
  let size = size.map { #","size":\#($0)"# } ?? ""
  return OpenRequest(
    role: role, writable: role == .sink, params: #"{"descriptor":\#(descriptor)\#(size)}"#, job: "j",
    jobFolder: "/nonexistent", stallSeconds: stallSeconds)
}

func stageError(_ body: () throws -> Void) throws -> StageError {
  do { try body() } catch let error as StageError { return error }
  struct NothingThrown: Error {}
  throw NothingThrown()
}

func read(_ device: any Device, _ count: Int, at offset: UInt64) throws -> [UInt8] {
  var bytes = [UInt8](repeating: 0xEE, count: count)
  let length = try bytes.withUnsafeMutableBytes { try device.read(into: $0, at: offset) }
  return Array(bytes[..<length])
}

@Suite struct UploadTests {
  let host = PatientHost()
  let ends = StreamEnds()

  func open(size: Int?, stallSeconds: Int = 30) throws -> any Device {
    try UploadStage.open(
      request(.source, ends.stage, size: size.map(String.init) ?? "null", stallSeconds: stallSeconds), host: host)
  }

  @Test func aStreamIsReadInOrderToItsEnd() throws {
    let content = bytes(300_000)
    ends.send(content, pieces: 777)
    let device = try open(size: content.count)
    let info = try device.info()
    #expect(info.size == 300_000 && info.flags == [.sequential, .noExtents] && info.identity == nil)
    #expect(try read(device, 200_000, at: 0) + read(device, 100_000, at: 200_000) == content)
    #expect(try device.checkpoint(offset: 300_000) == nil)
  }

  @Test func withoutASizeAShortReadIsTheEnd() throws {
    let content = bytes(100_000)
    ends.send(content)
    let device = try open(size: nil)
    #expect(try device.info().size == nil)
    #expect(try read(device, 65536, at: 0) + read(device, 65536, at: 65536) == content)
    #expect(try read(device, 65536, at: 100_000) == [])
  }

  @Test(arguments: [0, 1, 65535, 65536, 99_999])
  func aStreamThatEndsEarlyIsInterrupted(sent: Int) throws {
    ends.send(bytes(sent))
    let device = try open(size: 100_000)
    let error = try stageError {
      _ = try read(device, 65536, at: 0)
      _ = try read(device, 34464, at: 65536)
    }
    #expect(error.code == "upload-interrupted" && error.retry == .never)
    #expect(error.message == "the upload ended after \(sent) of 100000 bytes")
  }

  @Test func aStreamThatGoesOnIsRefused() throws {
    ends.send(bytes(4097))
    let device = try open(size: 4096)
    let error = try stageError { _ = try read(device, 4096, at: 0) }
    #expect(error.code == "upload-interrupted" && error.retry == .never && error.message.contains("more than"))
  }

  @Test func nothingIsReadTwice() throws {
    ends.send(bytes(8192))
    let device = try open(size: 8192)
    _ = try read(device, 4096, at: 0)
    #expect(try stageError { _ = try read(device, 4096, at: 0) }.code == "upload-interrupted")
  }

  @Test func aCancelIsNoticedWhileTheClientIsSilent() async throws {
    let device = try open(size: 4096)
    Thread.detachNewThread { [host, client = ends.client] in
      try? until("the stage asks whether to go on", within: 60) { host.asked.withLock { $0 } > 0 }
      host.cancelled.withLock { $0 = true }
      _ = client
    }
    let start = BootClock.seconds()
    #expect(try stageError { _ = try read(device, 4096, at: 0) }.code == "cancelled")
    #expect(BootClock.seconds() - start < 5)
    close(ends.client)
  }

  @Test func aSilentClientIsNotWaitedForForEver() throws {
    let device = try open(size: 4096, stallSeconds: 0)
    let error = try stageError { _ = try read(device, 4096, at: 0) }
    #expect(error.code == "upload-interrupted" && error.message.contains("moved no byte"))
    close(ends.client)
  }

  @Test(arguments: [-1, 0, 2, 999_999] as [Int32])
  func aStreamThatIsNotThereIsInterrupted(descriptor: Int32) throws {
    for role in [OpenRequest.Role.source, .sink] {
      let stage: any Stage.Type = role == .source ? UploadStage.self : SaveStage.self
      let error = try stageError { _ = try stage.open(request(role, descriptor, size: "1"), host: host) }
      #expect(error.code == "upload-interrupted" && error.retry == .never)
    }
    close(ends.client)
    close(ends.stage)
  }

  @Test func thePlanIsWhatTheClientAnnounced() throws {
    #expect(try UploadStage.plan(request(.source, 3, size: "512"), below: nil, host: host)?.size == 512)
    #expect(try UploadStage.plan(request(.source, 3), below: nil, host: host)?.size == nil)
    #expect(try SaveStage.plan(request(.sink, 3), below: Plan(size: 7), host: host)?.size == 7)
    let error = try stageError {
      _ = try UploadStage.plan(request(.source, 3, size: "-1"), below: nil, host: host)
    }
    #expect(error.code == "invalid" && error.message.contains("size"))
    close(ends.client)
    close(ends.stage)
  }
}

final class Received: Sendable {
  let bytes = Mutex<[UInt8]?>(nil)
}

@Suite struct SaveTests {
  let host = PatientHost()
  let ends = StreamEnds()

  /// As a worker does.
  init() { signal(SIGPIPE, SIG_IGN) }

  @Test func whatIsWrittenComesOutInOrder() throws {
    let content = bytes(300_000)
    var device: (any Device)? = try SaveStage.open(request(.sink, ends.stage), host: host)
    let received = Received()
    let ended = DispatchSemaphore(value: 0)
    Thread.detachNewThread { [client = ends.client] in
      let all = Array(FileHandle(fileDescriptor: client, closeOnDealloc: true).readDataToEndOfFile())
      received.bytes.withLock { $0 = all }
      ended.signal()
    }
    #expect(try device?.info().flags == [.writable, .sequential])
    try content.withUnsafeBytes { try device?.write($0, at: 0) }
    try device?.zero(offset: 300_000, length: 3 << 20)
    try device?.commit(Commit(size: 300_000 + 3 << 20))
    device?.close()
    device = nil
    ended.wait()
    #expect(received.bytes.withLock { $0 } == content + [UInt8](repeating: 0, count: 3 << 20))
  }

  @Test func aClientThatGoesAwayEndsIt() throws {
    let device = try SaveStage.open(request(.sink, ends.stage), host: host)
    close(ends.client)
    let error = try stageError { try bytes(4096).withUnsafeBytes { try device.write($0, at: 0) } }
    #expect(error.code == "upload-interrupted" && error.retry == .never && error.systemError == EPIPE)
  }

  @Test func aClientThatReadsNothingIsNotWaitedForForEver() throws {
    let device = try SaveStage.open(request(.sink, ends.stage, stallSeconds: 0), host: host)
    let error = try stageError { try bytes(8 << 20).withUnsafeBytes { try device.write($0, at: 0) } }
    #expect(error.code == "upload-interrupted" && error.message.contains("moved no byte"))
    close(ends.client)
  }

  @Test func bytesMustComeInOrderAndAllOfThem() throws {
    let device = try SaveStage.open(request(.sink, ends.stage), host: host)
    try bytes(512).withUnsafeBytes { try device.write($0, at: 0) }
    #expect(
      try stageError { try bytes(512).withUnsafeBytes { try device.write($0, at: 0) } }.code == "upload-interrupted")
    #expect(try stageError { try device.commit(Commit(size: 1024)) }.code == "internal")
    close(ends.client)
  }
}
