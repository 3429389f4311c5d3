import FoundationEssentials
public import StageKit

extension Host {
  /// Emits a record as one JSON object with sorted keys.
  public func emit(_ kind: String, _ record: some Encodable) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    emit(kind, json: String(decoding: try encoder.encode(record), as: UTF8.self))
  }
}
