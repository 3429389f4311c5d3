import DroverModel
import Manifests
import Testing

@Suite struct ManifestTests {
  private func read(_ text: String) throws(Fault) -> [ManifestDocument] {
    try ManifestDocument.read(Array(text.utf8), name: "m.yaml")
  }

  @Test func severalDocuments() throws {
    let documents = try read("# first\na: 1\n---\n---\n# empty\n---\nb: [x, {c: d}]\n...\n")
    #expect(documents.map(\.value) == [["a": 1], ["b": ["x", ["c": "d"]]]])
    #expect(documents.map(\.position) == ["m.yaml:2", "m.yaml:7"])
    #expect(try read("").isEmpty)
  }

  @Test func scalars() throws {
    let value = try read(
      """
      text: parrot
      quoted: "12"
      int: 12
      big: 9007199254740993
      octal: 0o17
      float: 1.5
      yes: yes
      date: 2026-01-05
      truth: true
      nothing: ~
      empty:
      block: |
        two
        lines
      tagged: !!str 5
      """
    )[0].value
    #expect(
      value == [
        "text": "parrot", "quoted": "12", "int": 12, "big": .int(9_007_199_254_740_993), "octal": 15,
        "float": .double(1.5), "yes": "yes", "date": "2026-01-05", "truth": true, "nothing": nil, "empty": nil,
        "block": "two\nlines\n", "tagged": "5",
      ])
  }

  @Test func jsonToo() throws {
    #expect(
      try read("{\"a\": [1, null, \"x\\ud83d\\ude00\"],\n\t\"b\": {}}")[0].value == ["a": [1, nil, "x😀"], "b": [:]])
    #expect(
      try read("{\"kind\": \"List\", \"items\": [{\"a\": 1}, {\"b\": 2}]}").map(\.value) == [["a": 1], ["b": 2]])
  }

  @Test(arguments: [
    ("a: 1\nb: [1,\nc: 2\n", "m.yaml:4:1"), ("a: b: c\n", "m.yaml:1:5"), ("a: 1\na: 2\n", "stands twice"),
    ("\"1\": a\n1: b\n", "stands twice"), ("a: *x\n", "undefined alias"), ("a: !!binary aGk=\n", "is not supported"),
    ("? [a]\n: b\n", "a key must be"), ("a:\n\t- b\n", "m.yaml:2"), ("x: &a {b: 1}\ny: {<<: *a}\n", "<<"),
    ("{\"a\": 1, \"a\": 2}", "stands twice"), ("a: \u{1}\n", "m.yaml"),
  ])
  func malformed(text: String, message: String) {
    let fault = fault { () throws(Fault) in try read(text) }
    #expect(fault?.code == .invalid)
    #expect(fault?.message.contains(message) == true, "\(fault?.message ?? "no fault")")
    #expect(fault?.message.hasPrefix("m.yaml") == true)
  }

  @Test func notText() {
    #expect(fault { () throws(Fault) in try ManifestDocument.read([0xFF, 0xFE, 0x00], name: "m") }?.code == .invalid)
    let huge = [UInt8](repeating: 0x20, count: ManifestDocument.longestFile + 1)
    #expect(fault { () throws(Fault) in try ManifestDocument.read(huge, name: "m") }?.code == .invalid)
  }

  @Test func aliasBombsAndDeepNests() {
    var bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    for level in 1...20 {
      bomb += "a\(level): &a\(level) [" + Array(repeating: "*a\(level - 1)", count: 9).joined(separator: ",") + "]\n"
    }
    #expect(fault { () throws(Fault) in try read(bomb) }?.message.contains("aliases") == true)
    #expect(fault { () throws(Fault) in try read(String(repeating: "[", count: 5000)) }?.code == .invalid)
    let nested = String(repeating: "[", count: 500) + String(repeating: "]", count: 500)
    #expect(fault { () throws(Fault) in try read(nested) }?.code == .invalid)
    #expect(throws: Never.self) { try read("a: &x {b: 1}\nc: *x\n") }
  }

  @Test func writtenYAMLReadsBack() throws {
    let values: [JSONValue] = [
      ["kind": "BackingImage", "apiVersion": "longhorn.io/v1beta2", "metadata": ["name": "parrot"]],
      ["empty": [:], "list": [], "nested": [["a": [1, [2, ["b": [["c"]]]]]], [["d": nil]]]],
      [
        "strings": [
          "", " ", "true", "yes", "no", "null", "~", "1", "1.5", "-", "- a", "a: b", "a #b", "#", "x\ny", "\"q\"",
          "'s'",
          "2026-01-05", "2026-01-05T10:00:02Z", "0x10", "*a", "&a", "!t", "%d", "@x", "`x`", "a,b", "[x]", "{y}", "ü😀",
          "file:///s?backingImage=parrot", "trailing ", "tab\t", "\u{7F}\u{85}\u{2028}\u{FEFF}", "12e5", ":", "a:", "?",
          "C:\\x", .string(sampleChecksum),
        ]
      ],
      ["weird: key": 1, "yes": 2, "": 3, "1": 4, "a\"b": 5], [1, "a", [2, 3], ["k": "v"]], "text", 7, .double(0.25),
      true,
      .int(.max), .int(.min),
    ]
    for value in values {
      let text = YAMLText.encode(value)
      #expect(try read(text).map(\.value) == [value], "\(text)")
    }
    #expect(YAMLText.encode(["spec": ["b": 1, "a": ["x"]], "kind": "K"]) == "kind: K\nspec:\n  a:\n  - x\n  b: 1\n")
  }
}
