/// Why a request can't be read to its end.
enum ConnectionFailure: Error {
  /// The client ended the connection in the middle of a request.
  case clientWentAway
  /// The client paused for too long.
  case tooSlow
  /// The body is not HTTP.
  case malformed(String)
}
