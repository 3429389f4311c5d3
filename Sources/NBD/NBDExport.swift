/// A device under a name.
public struct NBDExport: Sendable {
  public let device: any NBDDevice
  /// Clients may also ask for the empty name.
  public let name: String
  /// For people; may be empty.
  public let description: String

  public init(_ device: any NBDDevice, name: String = "", description: String = "") {
    self.device = device
    self.name = name
    self.description = description
  }

  /// Bytes of one read or write at the most, as the server tells its clients.
  static let longestRequest: UInt32 = 32 << 20

  func hasName(_ wanted: String) -> Bool { wanted.isEmpty || wanted == name }

  func flags(_ agreement: Agreement) -> Wire.TransmissionFlags {
    // Whatever one connection has written another reads, and a flush on one is a flush of all.
    var flags: Wire.TransmissionFlags = [.hasFlags, .sendFlush, .canMultiConnect, .sendCache]
    flags.formUnion(device.isWritable ? [.sendFUA, .sendTrim, .sendWriteZeroes, .sendFastZero] : [.readOnly])
    if agreement.hasStructuredReplies { flags.insert(.sendDF) }
    return flags
  }
}
