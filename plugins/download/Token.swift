import FoundationEssentials

/// What a later attempt needs to ask for the rest only.
struct Token: Codable {
  /// Everything below it is safe.
  var offset: UInt64
  var version: Version

  init(offset: UInt64, version: Version) {
    self.offset = offset
    self.version = version
  }

  /// Nil for bytes that are no token: then the download begins anew.
  init?(_ bytes: [UInt8]) {
    guard let token = try? JSONDecoder().decode(Token.self, from: Data(bytes)) else { return nil }
    self = token
  }

  func encoded() throws -> [UInt8] { [UInt8](try JSONEncoder().encode(self)) }
}
