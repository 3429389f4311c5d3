public import DroverModel

/// What travels on a child's channel: `length` (UInt32, little-endian, of the payload alone), one byte `kind`, payload.
public enum Frame: Sendable {
  /// Kind 1: JSON, one message.
  case message([UInt8])
  /// Kind 2: secret bytes.
  case secret(SecretBytes)

  /// No payload is longer. A longer one ends the conversation.
  public static let largestPayload = 16 << 20
  static let headerSize = 5

  enum Kind: UInt8 {
    case message = 1
    case secret = 2
  }

  static func header(_ kind: Kind, payload: Int) -> [UInt8] {
    let length = UInt32(payload)
    return [0, 8, 16, 24].map { UInt8(truncatingIfNeeded: length >> $0) } + [kind.rawValue]
  }
}
