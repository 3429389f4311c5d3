import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import Testing

struct SpawnerTests {
  /// Runs a shell whose descriptor 0 is the channel, and returns what it wrote there, as raw bytes, with its status.
  private func shell(
    _ script: String, environment: [String: String] = [:], descriptors: [(parent: Int32, child: Int32)] = []
  ) throws -> (output: String, status: ChildProcess.ExitStatus) {
    let spawner = try Spawner()
    let child = try spawner.start(
      ChildProgram(
        path: "/bin/sh", arguments: ["-c", script], environment: environment, descriptors: descriptors))
    let status = try child.process.wait()
    var bytes = [UInt8](repeating: 0, count: 65536)
    let count = recv(child.channel.descriptor, &bytes, bytes.count, 0)
    return (String(decoding: bytes[..<max(0, count)], as: UTF8.self), status)
  }

  @Test func descriptorZeroIsTheChannelAndTheEnvironmentIsClean() throws {
    let (output, status) = try shell("env >&0; exit 7", environment: ["DROVER_TEST": "1"])
    #expect(status == .code(7))
    #expect(output.contains("DROVER_TEST=1\n"))
    #expect(!output.contains("PATH=/"))
  }

  @Test func onlyTheNamedDescriptorsAreOpenInTheChild() throws {
    let (read, write) = try Pipe.make()
    defer {
      close(read)
      close(write)
    }
    let (output, _) = try shell(
      "/bin/ls /proc/self/fd >&0; echo handed >&3", descriptors: [(parent: write, child: 3)])
    // ls holds one more while it lists.
    #expect(Set(output.split(separator: "\n")).isSubset(of: ["0", "1", "2", "3", "4"]))
    #expect(output.contains("3"))
    var bytes = [UInt8](repeating: 0, count: 16)
    #expect(Glibc.read(read, &bytes, bytes.count) == 7)
  }

  @Test func aChildKilledBySignalSaysSo() throws {
    #expect(try shell("kill -9 $$").status == .signal(9))
  }

  @Test func theChildSeesTheEndWhenTheChannelGoes() throws {
    let spawner = try Spawner()
    var child: StartedChild? = try spawner.start(
      ChildProgram(path: "/bin/sh", arguments: ["-c", "cat <&0; exit 3"], environment: ["PATH": "/usr/bin:/bin"]))
    let process = child!.process
    child = nil
    #expect(try process.wait() == .code(3))
  }

  @Test func aProgramThatIsNotThereIsAFaultThatNamesIt() throws {
    let spawner = try Spawner()
    let error = #expect(throws: Fault.self) {
      try spawner.start(ChildProgram(path: "/nonexistent/drover-worker", environment: [:]))
    }
    #expect(error?.message == "could not start /nonexistent/drover-worker: No such file or directory")
  }

  @Test func credentialsAreNotHandedOn() {
    let own = [
      "PATH": "/bin", "AWS_SECRET_ACCESS_KEY": "x", "https_proxy": "http://p", "LC_ALL": "C", "DROVER_STATE": "/s",
    ]
    #expect(Spawner.cleanEnvironment(own) == ["PATH": "/bin", "https_proxy": "http://p", "LC_ALL": "C"])
  }
}
