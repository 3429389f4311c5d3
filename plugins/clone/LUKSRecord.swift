import DiskImage

/// What a record says of an encrypted image's header.
struct LUKSRecord: Encodable {
  var version: Int
  var cipher: String
  /// Bits of the volume key.
  var keySize: Int
  var uuid: String
  var sectorSize: Int
  /// Bytes before the ciphertext.
  var dataOffset: UInt64
  var keySlots: [KeySlot]

  struct KeySlot: Encodable {
    var slot: Int
    var pbkdf: String
    var iterations: UInt64
    /// KiB.
    var memory: UInt64?
  }

  /// Nil where there is no header, or none that holds.
  init?(_ probe: LUKSProbe) {
    guard case .encrypted(let header) = probe else { return nil }
    version = header.version
    cipher = header.cipher
    keySize = header.keySize
    uuid = header.uuid
    sectorSize = header.sectorSize
    dataOffset = header.dataOffset
    keySlots = header.keySlots.map { slot in
      KeySlot(
        slot: slot.number, pbkdf: slot.pbkdf, iterations: slot.iterations,
        memory: slot.pbkdf == "pbkdf2" ? nil : slot.memory)
    }
  }
}
