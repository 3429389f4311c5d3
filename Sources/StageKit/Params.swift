import FoundationEssentials

extension OpenRequest {
  /// The parameters as a value of the stage's own. Throws a `StageError` of code `invalid` that names the key.
  public func params<Value: Decodable>(as type: Value.Type) throws -> Value {
    do {
      return try JSONDecoder().decode(type, from: Data(params.utf8))
    } catch let error as DecodingError {
      throw StageError("invalid", describe(error, in: params))
    }
  }
}

private func describe(_ error: DecodingError, in params: String) -> String {
  switch error {
  case .keyNotFound(let key, let context):
    "parameter \(path(context.codingPath + [key])) is missing"
  case .valueNotFound(let type, let context):
    "parameter \(path(context.codingPath)) is null, but must be \(noun(type))"
  case .typeMismatch(let type, let context):
    context.codingPath.isEmpty
      ? "the parameters must be a JSON object" : "parameter \(path(context.codingPath)) must be \(noun(type))"
  case .dataCorrupted(let context):
    context.codingPath.isEmpty
      ? unfitNumber(in: params) ?? "the parameters are not valid JSON"
      : "parameter \(path(context.codingPath)) is not valid: \(context.debugDescription)"
  @unknown default:
    "the parameters are not valid"
  }
}

private func path(_ keys: [any CodingKey]) -> String {
  keys.map { $0.intValue.map { "[\($0)]" } ?? $0.stringValue }.joined(separator: ".")
}

private func noun(_ type: any Any.Type) -> String {
  switch type {
  case is String.Type: "a string"
  case is Bool.Type: "true or false"
  case is any BinaryInteger.Type, is any BinaryFloatingPoint.Type: "a number"
  case is any Collection.Type: "a list or an object"
  default: "an object"
  }
}

/// A number that its type can't hold, such as a negative size, is reported by the decoder as if the JSON were broken.
private func unfitNumber(in params: String) -> String? {
  struct Loose: Decodable {
    var isNumber: Bool
    init(from decoder: any Decoder) throws {
      isNumber = (try? decoder.singleValueContainer().decode(Double.self)) != nil
    }
  }
  guard let all = try? JSONDecoder().decode([String: Loose].self, from: Data(params.utf8)) else { return nil }
  let numbers = all.filter(\.value.isNumber).keys.sorted()
  return "parameter \(numbers.joined(separator: " or ")) has a number that it can't have"
}
