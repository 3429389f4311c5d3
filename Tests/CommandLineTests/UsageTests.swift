import ControlAPI
import DroverModel
import Foundation
import TestKit
import Testing

@Suite struct UsageTests {
  @Test(arguments: [
    ["nonsense"], ["get"], ["get", "bi", "-o", "xml"], ["apply"], ["image", "create", "parrot"],
    ["image", "create", "parrot", "--from-url", "http://h/x", "--from-image", "macaw"],
    ["image", "create", "parrot", "--from-url", "http://h/x", "--concurrent-limit", "2"], ["completion", "tcsh"],
    ["get", "pod"], ["get", "bi/a/b"], ["wait", "bi"],
  ])
  func mistakes(arguments: [String]) throws {
    let output = try Output.of(arguments, socket: "/nonexistent/sock")
    #expect(output.status == 2, "\(output.error)")
    #expect(output.out.isEmpty)
    #expect(!output.error.isEmpty)
  }

  @Test func mistakesAsJSON() throws {
    let output = try Output.of(["get", "bi", "--colour", "-o", "json"])
    #expect(output.status == 2)
    #expect(try APIJSON.decode(ErrorResponse.self, from: output.error).error.code == "invalid")
  }

  @Test func helpOfEveryCommand() throws {
    let root = try Output.of(["--help"])
    #expect(root.status == 0)
    #expect(root.error.isEmpty)
    let commands = [
      "apply", "get", "describe", "delete", "wait", "image", "backup", "job", "plugin", "status", "version", "events",
      "completion",
    ]
    for command in commands {
      #expect(root.out.contains("\n  \(command) "), "\(command)")
      let help = try Output.of([command, "--help"])
      #expect(help.status == 0)
      #expect(help.out.contains("USAGE: drover \(command)"), "\(command)")
    }
  }

  @Test func helpOfApply() throws {
    let help = try Output.of(["apply", "--help"]).out
    #expect(
      help.hasPrefix(
        """
        OVERVIEW: Create or update the objects of a manifest.

        Prints KIND/NAME created, configured or unchanged, a line for each object. A
        file holds one or several documents
        of YAML or JSON in Longhorn's form.

        USAGE: drover apply
        """))
    for option in [
      "--file", "--wait", "--timeout", "--dry-run", "--validate", "--output", "--quiet", "--json-progress", "--socket",
    ] {
      #expect(help.contains(option), "\(option)")
    }
  }

  @Test(arguments: ["bash", "zsh", "fish"])
  func completion(shell: String) throws {
    let output = try Output.of(["completion", shell])
    #expect(output.status == 0)
    #expect(output.out.contains("drover"))
  }
}
