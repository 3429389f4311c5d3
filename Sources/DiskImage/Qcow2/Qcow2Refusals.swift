import LinuxSystem

/// What a good header may say that this reader does not take.
struct Qcow2Refusals {
  let header: Qcow2Header
  let file: any ImageBytes

  init(_ header: Qcow2Header, file: any ImageBytes) {
    self.header = header
    self.file = file
  }

  func check() throws {
    try checkFeatures()
    if header.backingFile.offset != 0 {
      throw refusal(
        "it has only what differs from its backing file\(try backingFileName())",
        hint: "make one image of both: qemu-img convert -O qcow2 IMAGE NEW")
    }
    if header.encryption != 0 {
      throw refusal(
        "it is encrypted by QEMU (\(header.encryption == 1 ? "AES" : "LUKS"))",
        hint: "decrypt it with qemu-img convert")
    }
    try checkCompression()
    if header.version >= 3 { try checkExtensions() }
  }

  private func checkFeatures() throws {
    let features = header.features
    if let bit = (0..<64).first(where: { features.subtracting(.known).rawValue >> $0 & 1 == 1 }) {
      let name = try featureName(bit).map { " (\($0))" } ?? ""
      throw refusal("it needs a feature that is not known here: incompatible feature bit \(bit)\(name)")
    }
    if features.contains(.corrupt) {
      throw refusal("it is marked as corrupt", hint: "repair it with qemu-img check -r all, or get it again")
    }
    if features.contains(.dataFile) {
      throw refusal(
        "its data lies in another file", hint: "make one image of both: qemu-img convert -O qcow2 IMAGE NEW")
    }
  }

  private func checkCompression() throws(Qcow2Error) {
    let type = header.compressionType
    guard header.features.contains(.compressionType) == (type != 0) else {
      throw refusal("its compression type \(type) contradicts the feature bit that announces one")
    }
    guard type <= 1 else { throw refusal("compression type \(type) is not known, only 0 (deflate) and 1 (zstd)") }
  }

  /// They must be whole; none of them changes how the guest's bytes are read.
  private func checkExtensions() throws {
    for found in try extensions() where found.bytes == nil {
      throw refusal("its header extension of type \(found.type) does not end within the first cluster")
    }
  }

  private struct Extension {
    /// Eight hexadecimal digits.
    var type: String
    /// Nil: it is cut off.
    var bytes: ArraySlice<UInt8>?
  }

  /// Source: qcow2.rst, "Header extensions". At most 64 KiB are looked at.
  private func extensions() throws -> [Extension] {
    let limit = Int(min(header.clusterSize, 64 << 10))
    let end = header.backingFile.offset == 0 ? limit : Int(min(UInt64(limit), header.backingFile.offset))
    guard header.headerLength < end else { return [] }
    let start = try file.bytes(end, at: 0)
    var at = header.headerLength
    var all: [Extension] = []
    while at + 8 <= start.count {
      let type = start.bigEndian(at, 4)
      let length = Int(start.bigEndian(at + 4, 4))
      if type == 0 { break }
      at += 8
      let digits = String(type, radix: 16)
      let name = String(repeating: "0", count: 8 - digits.count) + digits
      guard length <= start.count - at else { return all + [Extension(type: name, bytes: nil)] }
      all.append(Extension(type: name, bytes: start[at..<(at + length)]))
      at += (length + 7) / 8 * 8
    }
    return all
  }

  /// What the image itself calls an incompatible feature. Source: qcow2.rst, "Feature name table".
  private func featureName(_ bit: Int) throws -> String? {
    guard let table = try extensions().first(where: { $0.type == "6803f857" })?.bytes else { return nil }
    for at in stride(from: 0, to: table.count - table.count % 48, by: 48)
    where table.bigEndian(at, 1) == 0 && table.bigEndian(at + 1, 1) == UInt64(bit) {
      let name = table[(table.startIndex + at + 2)..<(table.startIndex + at + 48)]
      return printable(name.prefix { $0 != 0 })
    }
    return nil
  }

  private func backingFileName() throws -> String {
    let (offset, length) = header.backingFile
    guard length <= 1023, offset <= header.clusterSize else { return "" }
    let name = try file.bytes(Int(length), at: offset)
    return name.isEmpty ? "" : " \(printable(name))"
  }

  private func printable(_ bytes: ArraySlice<UInt8>) -> String {
    String(decoding: bytes.map { (0x20..<0x7F).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
  }

  private func refusal(_ problem: String, hint: String = "") -> Qcow2Error {
    Qcow2Error(file.path, problem, hint: hint)
  }
}
