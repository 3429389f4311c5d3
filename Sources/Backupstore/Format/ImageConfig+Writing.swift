extension ImageConfig {
  /// The document, byte for byte as Longhorn writes it; a stub with `droverLock` has one key more, at the end.
  public func encoded() -> [UInt8] {
    var output: [UInt8] = []
    output.reserveCapacity(1024 + blocks.count * 112)
    func key(_ name: StaticString) {
      output.append(output.isEmpty ? UInt8(ascii: "{") : UInt8(ascii: ","))
      output.append(UInt8(ascii: "\""))
      output.append(contentsOf: UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount))
      output.append(contentsOf: "\":".utf8)
    }
    func string(_ name: StaticString, _ value: String) {
      key(name)
      JSONText.append(value, to: &output)
    }
    func number(_ name: StaticString, _ value: UInt64) {
      key(name)
      output.append(UInt8(ascii: "\""))
      JSONText.append(value, to: &output)
      output.append(UInt8(ascii: "\""))
    }
    string("Name", name)
    number("Size", size)
    number("BlockCount", blockCount)
    string("Checksum", checksum)
    key("Labels")
    appendLabels(to: &output)
    string("CompressionMethod", compressionMethod)
    string("CreatedTime", createdTime)
    string("CompleteTime", completeTime)
    string("Secret", secret)
    string("SecretNamespace", secretNamespace)
    key("ProcessingBlocks")
    output.append(contentsOf: (isComplete ? #"{"Blocks":{}}"# : "null").utf8)
    if !blocks.isEmpty {
      key("Blocks")
      appendBlocks(to: &output)
    }
    if let droverLock { string("DroverLock", droverLock) }
    output.append(UInt8(ascii: "}"))
    return output
  }

  private func appendLabels(to output: inout [UInt8]) {
    guard let labels else { return output.append(contentsOf: "null".utf8) }
    output.append(UInt8(ascii: "{"))
    let sorted = labels.sorted { $0.key.utf8.lexicographicallyPrecedes($1.key.utf8) }
    for (index, label) in sorted.enumerated() {
      if index > 0 { output.append(UInt8(ascii: ",")) }
      JSONText.append(label.key, to: &output)
      output.append(UInt8(ascii: ":"))
      JSONText.append(label.value, to: &output)
    }
    output.append(UInt8(ascii: "}"))
  }

  private func appendBlocks(to output: inout [UInt8]) {
    output.append(UInt8(ascii: "["))
    for (index, block) in blocks.enumerated() {
      output.append(contentsOf: (index > 0 ? #",{"Offset":"# : #"{"Offset":"#).utf8)
      JSONText.append(block.offset, to: &output)
      output.append(contentsOf: #","BlockChecksum":""#.utf8)
      block.name.append(to: &output)
      output.append(contentsOf: "\"}".utf8)
    }
    output.append(UInt8(ascii: "]"))
  }
}
