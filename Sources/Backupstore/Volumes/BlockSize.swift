/// Bytes of a block of one volume's backup. Source: longhorn-format, 4.2.
enum BlockSize {
  static let usual: UInt64 = 2 << 20
  /// What is read. Longhorn makes blocks of 2 and of 16 MiB; a sector is the least that a volume's map can mean, and a
  /// block must fit into memory many times.
  static let readable: ClosedRange<UInt64> = 4096...(64 << 20)
  static let parameter = "backup-block-size"

  /// `text` is a Kubernetes quantity of bytes; nil, empty and 0 are the usual size. Nil for what is none, or can't be
  /// the size of a block.
  static func parse(_ text: String?) -> UInt64? {
    guard let text, !text.isEmpty else { return usual }
    let digits = text.prefix { $0.isASCII && $0.isNumber }
    guard let number = UInt64(digits), let unit = units[text.dropFirst(digits.count)] else { return nil }
    if number == 0 { return usual }
    let (bytes, overflow) = number.multipliedReportingOverflow(by: unit)
    guard !overflow, readable.contains(bytes), bytes % 4096 == 0 else { return nil }
    return bytes
  }

  private static let units: [Substring: UInt64] = [
    "": 1, "k": 1000, "M": 1_000_000, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30,
  ]
}
