import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem
import TestKit
import Testing

@testable import Engine

/// The host with the real program.
@Suite struct ProcessPolicyHostTests {
  private func host(_ path: String? = nil) throws -> ProcessPolicyHost {
    ProcessPolicyHost(
      path: try path ?? #require(BuiltProducts.path("drover-policy"), "drover-policy is not built"),
      spawner: try Spawner(), environment: ["PATH": "/usr/bin:/bin"])
  }

  private func question(_ body: String, milliseconds: Int = 60_000) -> PolicyCommand {
    .ask(
      PolicyScript(file: "a.lua", source: "return { api = 1, naming = function(ctx) \(body) end }"), .naming,
      context: [:], PolicyLimits(deadlineMilliseconds: milliseconds))
  }

  private func name(_ report: PolicyReport) -> String? {
    if case .answered(let value, _) = report { value["name"]?.string } else { nil }
  }

  private func failure(_ report: PolicyReport) -> PolicyFailure? {
    if case .failed(let failure, _) = report { failure } else { nil }
  }

  @Test func oneProcessAnswersManyQuestions() async throws {
    let host = try host()
    #expect(name(await host.answer(to: question("return { name = 'a' }"))) == "a")
    let pid = try #require(host.pid)
    #expect(failure(await host.answer(to: question("while true do end")))?.reason == .instructions)
    #expect(name(await host.answer(to: question("return { name = 'b' }"))) == "b")
    #expect(host.pid == pid)
  }

  /// A process that is stopped stands for whatever keeps a script from ending by itself.
  @Test func oneThatDoesNotAnswerIsKilled() async throws {
    let host = try host()
    #expect(name(await host.answer(to: question("return { name = 'a' }"))) == "a")
    let pid = try #require(host.pid)
    kill(pid, SIGSTOP)
    let failure = failure(await host.answer(to: question("return { name = 'b' }", milliseconds: 50)))
    #expect(failure?.reason == .deadline && failure?.message.contains("was killed") == true)
    #expect(kill(pid, 0) == -1 && errno == ESRCH)
    #expect(name(await host.answer(to: question("return { name = 'c' }"))) == "c")
    #expect(host.pid != pid)
  }

  @Test func oneThatDiedIsStartedAgain() async throws {
    let host = try host()
    #expect(name(await host.answer(to: question("return { name = 'a' }"))) == "a")
    kill(try #require(host.pid), SIGKILL)
    // It may be found gone before the question, or in the middle of it; the next one is answered either way.
    let second = await host.answer(to: question("return { name = 'b' }"))
    #expect(name(second) == "b" || failure(second)?.reason == .process)
    #expect(name(await host.answer(to: question("return { name = 'c' }"))) == "c")
  }

  @Test func aProgramThatCanNotBeStarted() async throws {
    for path in ["/nonexistent/drover-policy", "/bin/true"] {
      let failure = failure(await (try host(path)).answer(to: question("return {}")))
      #expect(failure?.reason == .process && failure?.message.contains(path) == true, "\(failure?.message ?? "none")")
    }
  }
}
