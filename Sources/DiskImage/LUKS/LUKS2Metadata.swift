import FoundationEssentials

/// The JSON of a version 2 header, as far as Drover looks at it.
struct LUKS2Metadata: Decodable {
  var keyslots: [String: KeySlot]
  var segments: [String: Segment]
  var digests: [String: Digest]
  var config: Config

  struct KeySlot: Decodable {
    var type: String
    var keySize: Int
    var area: Area?
    var kdf: Derivation?
    var af: Stripes?
  }
  struct Area: Decodable {
    var offset: Decimal
    var size: Decimal
  }
  struct Derivation: Decodable {
    var type: String
    var iterations: UInt64?
    var time: UInt64?
    var memory: UInt64?
    var cpus: UInt64?
  }
  struct Stripes: Decodable { var stripes: UInt64 }
  struct Segment: Decodable {
    var type: String
    var offset: Decimal
    var size: String
    var ivTweak: Decimal?
    var encryption: String?
    var sectorSize: Int?
    var integrity: Present?
    var flags: [String]?
  }
  struct Digest: Decodable {
    var iterations: UInt64?
    var keyslots: [String]
    var segments: [String]
  }
  struct Config: Decodable {
    var jsonSize: Decimal
    var keyslotsSize: Decimal
    var requirements: Requirements?
  }
  struct Requirements: Decodable { var mandatory: [String]? }

  /// A 64-bit number, which the format writes as a string.
  struct Decimal: Decodable {
    var value: UInt64
    init(from decoder: any Decoder) throws {
      let container = try decoder.singleValueContainer()
      guard let value = UInt64(try container.decode(String.self)) else {
        throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a number")
      }
      self.value = value
    }
  }
  /// Whatever it is.
  struct Present: Decodable { init(from decoder: any Decoder) throws {} }

  /// `json` ends at the first NUL. Nil where it is not what the format says.
  init?(json: ArraySlice<UInt8>) {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    guard let end = json.firstIndex(of: 0),
      let decoded = try? decoder.decode(LUKS2Metadata.self, from: Data(json[..<end]))
    else { return nil }
    self = decoded
  }

  func header(uuid: String, copyLength: UInt64) -> LUKSHeader {
    let segment = segments.count == 1 ? segments["0"] : nil
    let (length, overflow) = (2 * copyLength).addingReportingOverflow(config.keyslotsSize.value)
    let digest = digests.values.first { $0.segments.contains("0") }
    let open = keyslots.filter { $0.value.type == "luks2" && digest?.keyslots.contains($0.key) == true }
    let slots = open.sorted { (Int($0.key) ?? 0) < (Int($1.key) ?? 0) }
    return LUKSHeader(
      version: 2, uuid: uuid, cipher: segment?.encryption ?? "",
      keySize: Int(clamping: (slots.first?.value.keySize ?? 0).multipliedReportingOverflow(by: 8).partialValue),
      keySlots: slots.map { Self.slot($0.key, $0.value) }, sectorSize: segment?.sectorSize ?? 512,
      dataOffset: segment?.offset.value ?? 0, dataSize: segment.flatMap { UInt64($0.size) },
      tweak: segment?.ivTweak?.value ?? 0, length: overflow ? .max : length,
      digestIterations: digests.values.compactMap(\.iterations).max() ?? 0, fault: fault(segment, copyLength, slots))
  }

  private static func slot(_ name: String, _ slot: KeySlot) -> LUKSHeader.KeySlot {
    let isPBKDF2 = slot.kdf?.type == "pbkdf2"
    return LUKSHeader.KeySlot(
      number: Int(name) ?? -1, pbkdf: slot.kdf?.type ?? "",
      iterations: (isPBKDF2 ? slot.kdf?.iterations : slot.kdf?.time) ?? .max,
      memory: isPBKDF2 ? 0 : slot.kdf?.memory ?? .max, threads: isPBKDF2 ? 0 : slot.kdf?.cpus ?? .max,
      offset: slot.area?.offset.value ?? .max, size: slot.area?.size.value ?? 0)
  }

  private func fault(
    _ segment: Segment?, _ copyLength: UInt64, _ slots: [(key: String, value: KeySlot)]
  ) -> LUKSHeader.Problem? {
    if let needs = config.requirements?.mandatory, !needs.isEmpty {
      return .unsupported(
        "it needs \(needs.prefix(4).map { String($0.prefix(40)) }.joined(separator: ", ")); an interrupted "
          + "re-encryption is finished by `cryptsetup reencrypt --resume-only`")
    }
    guard let segment, segment.type == "crypt", segment.encryption != nil, segment.sectorSize != nil else {
      return .unsupported("its data is not one encrypted segment")
    }
    guard segment.integrity == nil, segment.flags?.isEmpty != false else {
      return .unsupported("its sectors carry integrity tags, or are being re-encrypted")
    }
    guard segment.size == "dynamic" || UInt64(segment.size) != nil else {
      return .untrue("the size of its data is no number")
    }
    guard config.jsonSize.value == copyLength - 4096 else {
      return .untrue("its metadata has another length than it says")
    }
    guard keyslots.count <= 32, digests.count <= 32 else { return .untrue("it has \(keyslots.count) key slots") }
    let size = slots.first?.value.keySize
    guard slots.allSatisfy({ $0.value.keySize == size && ($0.value.af?.stripes ?? 4000) == 4000 }) else {
      return .untrue("its key slots hold keys of different lengths")
    }
    return nil
  }
}

extension LUKSHeader {
  /// Whether the JSON, which another reader wrote anew, says what this header of version 2 says.
  public func isSaid(by json: some Sequence<UInt8>) -> Bool {
    guard let metadata = LUKS2Metadata(json: (Array(json) + [0])[...]), metadata.config.keyslotsSize.value <= length
    else { return false }
    var said = metadata.header(uuid: uuid, copyLength: (length - metadata.config.keyslotsSize.value) / 2)
    said.isPrimaryDamaged = isPrimaryDamaged
    return said == self
  }
}
