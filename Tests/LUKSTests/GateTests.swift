import Dispatch
import Glibc
import LinuxSystem
import StageKit
import Synchronization
import TestKit
import Testing

@testable import LUKS

/// Keys are derived one at a time, whoever derives them.
@Suite struct GateTests {
  @Test func aDerivationWaitsForTheOneOfAnotherProcess() async throws {
    let folder = TemporaryFolder("gate")
    _ = try OpenFile.open(folder("lock"), .create(permissions: 0o600))
    // One process: what is run takes the lock over.
    let other = try ChildProcess.spawn(
      "/usr/bin/flock", arguments: ["flock", "--no-fork", folder("lock"), "/usr/bin/sleep", "600"], environment: [:],
      descriptors: [])
    defer { other.kill(SIGKILL) }
    try await eventually("the other process derives") {
      let mine = try OpenFile.open(folder("lock"), .read)
      return try !mine.tryLockExclusive()
    }
    let host = RecordingHost()
    let params = #""derivationLock": "\#(folder("lock"))", "# + fast
    let made = Task.detached { try encrypted(Array(noise[..<8192]), params: params, host: host) }
    try await eventually("it waits") {
      host.phases.withLock { $0.contains("waiting for another key derivation") }
    }
    #expect(host.phases.withLock { !$0.contains("deriving a key") })
    other.kill(SIGKILL)
    _ = try other.wait()
    #expect(try decrypted(try await made.value) == Array(noise[..<8192]))
    #expect(host.phases.withLock { $0.last } == "deriving a key")
  }

  @Test func neverTwoAtOnce() throws {
    let folder = TemporaryFolder("gate")
    let inside = Mutex(0)
    let most = Mutex(0)
    let passed = Mutex(0)
    DispatchQueue.concurrentPerform(iterations: 8) { _ in
      // Each opens the file anew, as each process does.
      let gate = DerivationGate(path: folder("lock"))
      try? gate.pass { () throws(LUKSError) in
        let now = inside.withLock { inside in
          inside += 1
          return inside
        }
        most.withLock { $0 = max($0, now) }
        usleep(20_000)
        inside.withLock { $0 -= 1 }
        passed.withLock { $0 += 1 }
      }
    }
    #expect(most.withLock { $0 } == 1 && passed.withLock { $0 } == 8)
  }

  @Test func aLockThatIsNoFileIsTold() throws {
    let folder = TemporaryFolder("gate")
    try Folder.create(folder("folder"))
    guard symlink("/dev/null", folder("link")) == 0 else {
      throw SystemError("symlink", path: folder("link"), errno: errno)
    }
    for path in ["folder", "link", "absent/lock"] {
      let params = #""derivationLock": "\#(folder(path))", "# + fast
      let error = try stageError { _ = try encrypted(Array(noise[..<512]), params: params) }
      #expect(error.message.contains(folder(path)), "\(error)")
    }
  }
}
