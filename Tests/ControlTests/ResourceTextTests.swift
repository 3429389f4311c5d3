import DroverModel
import Testing

@testable import ControlAPI

/// The quick way to write a list writes what the usual one does.
struct ResourceTextTests {
  @Test func theSameBytes() throws {
    let odd: [String: JSONValue] = [
      "a/b": "x/y", "quote\"": "back\\slash",
      "controls": .string(String((0..<32).map { Character(Unicode.Scalar($0)) })),
      "ü": "é\u{301} 🦜 \u{7f}\u{2028}", "": "", "B": 1, "b": -9_223_372_036_854_775_808, "a": .double(1.5),
      "whole": .double(2), "tiny": .double(1e-9), "yes": true, "no": false, "none": nil, "list": [1, "2", [], [:]],
      "nested": ["z": ["y": ["x": "w"]], "10": 1, "9": 2, "Z": 3],
    ]
    let resources = [
      Resource(kind: "Backup", metadata: .init(name: "one"), spec: odd, status: odd),
      Resource(
        apiVersion: "v1", kind: "Secret",
        metadata: .init(
          name: "two\n", namespace: "ns", uid: "u", creationTimestamp: "2026-01-01T00:00:00Z",
          labels: ["b/c": "d", "a": "e"], generation: 7)),
    ]
    for list in [ResourceList([]), ResourceList(resources), ResourceList([resources[1]])] {
      #expect(String(decoding: try list.encoded(), as: UTF8.self) == (try APIJSON.encode(list)))
    }
  }
}
