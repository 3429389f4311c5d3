import HTTPTypes
import Hummingbird

/// One method on one path, and what answers it.
struct Route: Sendable, CustomStringConvertible {
  let method: HTTPRequest.Method
  /// As in docs/openapi.yaml: `/v1/backingimages/{name}`.
  let template: String
  /// The query parameters it takes; any other is refused.
  let query: Set<String>
  let answer: @Sendable (Call) async throws -> Response
  private let pattern: [String?]
  private let parameters: [(index: Int, name: String)]

  init(
    _ method: HTTPRequest.Method, _ template: String, query: Set<String> = [],
    answer: @escaping @Sendable (Call) async throws -> Response
  ) {
    self.method = method
    self.template = template
    self.query = query
    self.answer = answer
    let parts = template.dropFirst().split(separator: "/").map(String.init)
    pattern = parts.map { $0.hasPrefix("{") ? nil : $0 }
    parameters = parts.enumerated().filter { $1.hasPrefix("{") }
      .map { (index: $0, name: String($1.dropFirst().dropLast())) }
  }

  var description: String { "\(method.rawValue) \(template)" }

  /// The values of the template's parameters; nil where the path is another. A parameter is never empty.
  func match(_ segments: [String]) -> [String: String]? {
    guard segments.count == pattern.count else { return nil }
    for (expected, segment) in zip(pattern, segments) {
      guard expected.map({ $0 == segment }) ?? !segment.isEmpty else { return nil }
    }
    return Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, segments[$0.index]) })
  }
}
