import DroverModel
import Foundation
import Testing

@testable import ControlServer

/// docs/openapi.yaml and the routes name the same paths, methods and query parameters.
@Suite(.timeLimit(.minutes(5))) struct OpenAPITests {
  private struct Operation: Hashable, CustomStringConvertible {
    /// `GET /v1/version`.
    var name: String
    var query: Set<String>
    var description: String { "\(name) \(query.sorted())" }
  }

  @Test func theDocumentDescribesWhatIsServed() throws {
    let served = RouteTable.all.routes.map { Operation(name: $0.description, query: $0.query) }
    let described = try documented()
    #expect(Set(served).count == served.count, "a route stands twice")
    #expect(Set(served).subtracting(described).map(\.description).sorted() == [])
    #expect(described.subtracting(served).map(\.description).sorted() == [])
    #expect(described.count > 30)
  }

  @Test func everyReferenceLeadsSomewhere() throws {
    let lines = try text().split(separator: "\n", omittingEmptySubsequences: false)
    var names: Set<String> = []
    var section = ""
    for line in lines.drop(while: { $0 != "components:" }).dropFirst() {
      let indent = line.prefix { $0 == " " }.count
      let key = line.dropFirst(indent).prefix { $0 != ":" }
      if indent == 2 { section = String(key) }
      if indent == 4 { names.insert("#/components/\(section)/\(key)") }
    }
    let references = try text().matches(of: #/\$ref: "([^"]+)"/#).map { String($0.1) }
    #expect(references.count > 50)
    #expect(Set(references).subtracting(names) == [])
    #expect(names.subtracting(references) == [], "described and not used")
  }

  private func text() throws -> String {
    let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try String(contentsOf: root.appending(path: "docs/openapi.yaml"), encoding: .utf8)
  }

  /// Reads just the shape that the file is written in: paths at two spaces, methods at four, parameters as references or
  /// as `- name:`.
  private func documented() throws -> Set<Operation> {
    var operations: Set<Operation> = []
    var path = ""
    var method: String?
    var query: Set<String> = []
    func finish() {
      if let method { operations.insert(Operation(name: "\(method.uppercased()) \(path)", query: query)) }
      method = nil
      query = []
    }
    for line in try text().split(separator: "\n").drop(while: { $0 != "paths:" }).dropFirst() {
      guard line.hasPrefix(" ") else { break }
      let indent = line.prefix { $0 == " " }.count
      let content = line.dropFirst(indent)
      switch indent {
      case 2:
        finish()
        path = String(content.dropLast())
      case 4:
        finish()
        if content != "parameters:" { method = String(content.dropLast()) }
      case 8 where method != nil:
        if let name = content.wholeMatch(of: #/- \$ref: "#/components/parameters/(\w+)"/#)?.1 {
          query.insert(String(name))
        }
        if let name = content.wholeMatch(of: #/- name: (\w+)/#)?.1 { query.insert(String(name)) }
      default: break
      }
    }
    finish()
    return operations
  }
}
