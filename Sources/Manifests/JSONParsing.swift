import DroverModel
import FoundationEssentials

/// Nil where it is not JSON.
func parseJSON(_ bytes: [UInt8]) -> JSONValue? {
  let first = bytes.first { $0 != 32 && $0 != 9 && $0 != 10 && $0 != 13 }
  guard first == UInt8(ascii: "{") || first == UInt8(ascii: "[") else { return nil }
  return try? JSONDecoder().decode(JSONValue.self, from: Data(bytes))
}
