import CDroverPlugin
import Foundation
import StageKit
import TestKit
import Testing

/// What docs/plugins.md shows is what works.
@Suite struct ManualTests {
  let manual: String
  init() throws { manual = try Repository.read(Repository.root + "/docs/plugins.md") }

  /// The fenced blocks of one language.
  func blocks(_ language: String) -> [String] {
    manual.components(separatedBy: "```\(language)\n").dropFirst().map {
      $0.components(separatedBy: "```")[0]
    }
  }

  @Test func theWholePluginIsTheOneThatIsTested() throws {
    let source = try Repository.read(Repository.root + "/Tests/PluginTests/Plugins/pattern.c")
    #expect(blocks("c").first == source)
  }

  @Test func itsOneLineCompilesIt() throws {
    let line = try #require(blocks("sh").first { $0.hasPrefix("cc ") })
    let folder = TemporaryFolder("manual")
    try #require(blocks("c").first).write(toFile: folder("pattern.c"), atomically: true, encoding: .utf8)
    let words = line.split(whereSeparator: \.isWhitespace).dropFirst().map(String.init)
    try Compiler.run(
      words.map { $0 == "Sources/CDroverPlugin/include" ? Repository.header : $0 }, in: folder.path)
    let library = try #require(dlopen(folder("libdrover-stage-pattern.so"), RTLD_NOW | RTLD_LOCAL))
    #expect(dlsym(library, DROVER_PLUGIN_ENTRY_NAME) != nil)
  }

  @Test func theSwiftEntryIsTheOneOfAPlugin() throws {
    let entry = try Repository.read(Repository.root + "/plugins/clone/Entry.swift")
    #expect(blocks("swift").first == entry)
  }

  @Test func everyCallHasItsSection() throws {
    let header = try Repository.read(Repository.header + "/drover_plugin.h")
    // Struct members that are functions: `int (*open)(`.
    let calls = header.matches(of: /^ +[a-z0-9_]+ \*?\(\*([a-z_]+)\)\(/.anchorsMatchLineEndings()).map {
      String($0.output.1)
    }
    #expect(calls.count >= 20)
    for call in calls {
      let isDescribed = manual.split(separator: "\n").contains { line in
        (line.hasPrefix("### ") && line.dropFirst(4).components(separatedBy: ", ").contains(call))
          || line.hasPrefix("| `\(call)(")
      }
      #expect(isDescribed, "\(call)")
    }
  }
}
