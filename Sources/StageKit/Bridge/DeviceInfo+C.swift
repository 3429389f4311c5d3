import CDroverPlugin

extension DeviceInfo {
  init(_ info: drover_device_info) {
    self.init(
      size: info.size == .max ? nil : info.size, dataSize: info.data_size == .max ? nil : info.data_size,
      blockMin: max(1, info.block_min), blockPreferred: info.block_preferred, blockMax: info.block_max,
      flags: Flags(rawValue: info.flags), identity: info.identity.map { String(cString: $0) },
      sha512: info.sha512.map { String(cString: $0) },
      blockHashes: hashes(info.block_hashes, info.block_hash_count))
  }
}

extension Commit {
  init(_ commit: drover_commit) {
    self.init(
      size: commit.size, sha512: commit.sha512.map { String(cString: $0) },
      blockHashes: hashes(commit.block_hashes, commit.block_hash_count))
  }

  /// The struct is valid during `body`.
  func withCStruct<Answer>(_ body: (UnsafePointer<drover_commit>) throws -> Answer) throws -> Answer {
    func call(_ sha512: UnsafePointer<CChar>?, _ hashes: UnsafeBufferPointer<UInt8>?) throws -> Answer {
      var commit = drover_commit(
        struct_size: MemoryLayout<drover_commit>.size, size: size, sha512: sha512, block_hashes: hashes?.baseAddress,
        block_hash_count: UInt64((hashes?.count ?? 0) / Int(DROVER_HASH_LENGTH)))
      return try body(&commit)
    }
    func withHashes(_ sha512: UnsafePointer<CChar>?) throws -> Answer {
      guard let blockHashes else { return try call(sha512, nil) }
      return try blockHashes.withUnsafeBufferPointer { try call(sha512, $0) }
    }
    guard let sha512 else { return try withHashes(nil) }
    return try sha512.withCString { try withHashes($0) }
  }
}

private func hashes(_ start: UnsafePointer<UInt8>?, _ count: UInt64) -> [UInt8]? {
  start.map { Array(UnsafeBufferPointer(start: $0, count: Int(count) * Int(DROVER_HASH_LENGTH))) }
}
