import Foundation
import LinuxSystem
import Synchronization
import TestKit
import Testing

@testable import Backupstore

/// Not a test of anything but a number: 256 blocks of 2 MiB there and back by four threads. Run with `./dev test --soak`.
@Suite(
  .enabled(
    if: ProcessInfo.processInfo.environment["DROVER_SOAK"] != nil && RcloneS3.isMissing == nil,
    "only with --soak, and where rclone is"))
struct S3SpeedTests {
  @Test func blocksASecond() throws {
    let server = try RcloneS3()
    let store = try openStore(StoreURL("s3://\(server.makeBucket())@us-east-1/"), credentials: server.credentials())
    let block = noise(2 << 20)
    let count = 256
    let megabytes = Double(count * block.count) / 1e6
    let failures = Atomic(0)
    func run(_ what: String, _ body: @escaping @Sendable (Int) throws -> Void) {
      let begin = BootClock.seconds()
      DispatchQueue.concurrentPerform(iterations: 4) { part in
        for index in stride(from: part, to: count, by: 4) {
          do { try body(index) } catch { failures.add(1, ordering: .relaxed) }
        }
      }
      print("S3, \(what): \(Int(megabytes / (BootClock.seconds() - begin))) MB/s")
    }
    run("PUT") { index in
      try block.withUnsafeBytes { try store.write("backupstore/\(index)", $0, deadline: .never) }
    }
    run("GET") { index in
      var back = [UInt8](repeating: 0, count: block.count)
      _ = try back.withUnsafeMutableBytes { try store.read("backupstore/\(index)", into: $0, deadline: .never) }
    }
    #expect(failures.load(ordering: .relaxed) == 0)
  }

  private func noise(_ count: Int) -> [UInt8] {
    var random = SystemRandomNumberGenerator()
    return (0..<(count / 8)).flatMap { _ in withUnsafeBytes(of: random.next() as UInt64) { Array($0) } }
  }
}
