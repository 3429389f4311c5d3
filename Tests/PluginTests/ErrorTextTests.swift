import CDroverPlugin
import StageKit
import Testing

/// A task that fails with the text that it is told.
enum FailingStage: Stage {
  static let name = "failing"
  static let summary = "fails"
  static let roles: Roles = .task
  struct Params: Decodable {
    var message: String
    var hint: String
    var code: String
  }
  static func run(_ request: OpenRequest, host: any Host) throws {
    let params = try request.params(as: Params.self)
    throw StageError(params.code, params.message, hint: params.hint)
  }
}

@Suite struct ErrorTextTests {
  static let plugin = Plugin(name: "failing", version: "1", stages: [FailingStage.self])

  func run(code: String = "c", message: String = "", hint: String = "") throws -> PluginFailure {
    let stage = HostedStage(try #require(Self.plugin.descriptor.pointee.stages[0]))
    return try failure { try stage.run(#"{"code":"\#(code)","message":"\#(message)","hint":"\#(hint)"}"#) }
  }

  @Test(arguments: [1, 2, 3, 4], [1020, 1021, 1022, 1023, 1024, 1025, 3000])
  func aMessageIsCutBetweenCharacters(width: Int, length: Int) throws {
    let character = ["a", "ä", "€", "𝄞"][width - 1]
    let message = String(repeating: "x", count: length % width) + String(repeating: character, count: length / width)
    let kept = try run(message: message).message
    #expect(message.hasPrefix(kept))
    #expect(kept.utf8.count <= 1023 && kept.utf8.count > 1023 - width || kept == message)
    #expect(!kept.contains("\u{FFFD}"))
  }

  @Test func everyFieldHasItsOwnLength() throws {
    let failure = try run(
      code: String(repeating: "c", count: 100), message: "m", hint: String(repeating: "ö", count: 600))
    #expect(failure.code == String(repeating: "c", count: 63))
    #expect(failure.hint == String(repeating: "ö", count: 255))
    #expect(failure.message == "m" && failure.domain == "failing")
  }

  @Test func aNULEndsTheText() throws {
    #expect(try run(message: "before\\u0000after").message == "before")
  }
}
