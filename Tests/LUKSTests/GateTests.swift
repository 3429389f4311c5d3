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
    let threads = 8
    let come = Monitor(0)
    let inside = Mutex((now: 0, most: 0))
    let passed = Monitor(0)
    for _ in 0..<threads {
      try SystemThread.start("gate") {
        // Each opens the file anew, as each process does.
        let gate = DerivationGate(path: folder("lock"))
        come.change { $0 += 1 }
        try? gate.pass { () throws(LUKSError) in
          inside.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
          // All others are at the gate while the first is inside.
          _ = come.wait(atMost: 30) { $0 == threads ? true : nil }
          inside.withLock { $0.now -= 1 }
          passed.change { $0 += 1 }
        }
      }
    }
    #expect(passed.wait(atMost: 60) { $0 == threads ? true : nil } == true)
    #expect(inside.withLock { $0.most } == 1)
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
