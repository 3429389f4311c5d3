/// The one header of version 1: 592 bytes, without a checksum.
enum LUKS1Layout {
  static let magic: [UInt8] = [0x4C, 0x55, 0x4B, 0x53, 0xBA, 0xBE]
  private static let active: UInt64 = 0x00AC_71F3

  static func header(_ bytes: [UInt8]) -> LUKSProbe {
    let fields = BigEndian(bytes)
    let keyLength = fields.number(108, 4)
    var slots: [LUKSHeader.KeySlot] = []
    var length: UInt64 = 4096
    for number in 0..<8 {
      let slot = BigEndian(fields[208 + 48 * number, 48])
      let offset = slot.number(40, 4) * 512
      let size = keyLength * slot.number(44, 4)
      guard slot.number(0, 4) == active else { continue }
      length = max(length, offset + (size + 511) / 512 * 512)
      slots.append(
        LUKSHeader.KeySlot(
          number: number, pbkdf: "pbkdf2", iterations: slot.number(4, 4), memory: 0, threads: 0, offset: offset,
          size: size))
    }
    let dataOffset = fields.number(104, 4) * 512
    guard dataOffset > 0 else {
      return .damaged("it says that its data lies on another device")
    }
    return .encrypted(
      LUKSHeader(
        version: 1, uuid: fields.text(168, 40), cipher: "\(fields.text(8, 32))-\(fields.text(40, 32))",
        keySize: Int(keyLength * 8), keySlots: slots, sectorSize: 512, dataOffset: dataOffset, dataSize: nil, tweak: 0,
        length: length, digestIterations: fields.number(164, 4)))
  }
}
