extension LUKSHeader {
  /// cryptsetup's own limit, in KiB.
  public static let mostMemory: UInt64 = 4 << 20
  /// cryptsetup's own limit.
  static let mostThreads: UInt64 = 4
  /// Memory times iterations, in KiB: some minutes.
  static let mostArgonWork: UInt64 = 256 << 20
  /// Some minutes, too. The sum over all slots, since a passphrase is tried on each.
  static let mostIterations: UInt64 = 1_000_000_000
  /// Two copies of the metadata with 4 MiB each, and 128 MiB of key slots.
  static let mostLength: UInt64 = 136 << 20

  /// Why an image of so many bytes that begins with this header can't be opened; nil: it can, with the right key.
  public func problem(imageSize: UInt64) -> Problem? {
    fault ?? placeProblem(imageSize) ?? cipherProblem ?? keySlotProblem ?? costProblem
  }

  private func placeProblem(_ imageSize: UInt64) -> Problem? {
    guard length <= Self.mostLength else { return .untrue("its header is \(length) bytes long") }
    guard dataOffset % 512 == 0 else { return .untrue("its data begins at byte \(dataOffset), within a sector") }
    guard dataOffset >= length else {
      return .untrue("its data begins at byte \(dataOffset), within the header of \(length) bytes")
    }
    guard dataOffset < imageSize else {
      return .untrue("its data begins at byte \(dataOffset), but the image has only \(imageSize): it was cut")
    }
    if let dataSize, dataSize > imageSize - dataOffset {
      return .untrue("it has \(dataSize) bytes of data, but only \(imageSize - dataOffset) are there: it was cut")
    }
    guard [512, 1024, 2048, 4096].contains(sectorSize) else { return .untrue("its sectors have \(sectorSize) bytes") }
    let size = dataSize ?? imageSize - dataOffset
    guard size > 0, size % UInt64(sectorSize) == 0 else {
      return .untrue("it has \(size) bytes of data, which is not a multiple of its sectors of \(sectorSize) bytes")
    }
    guard tweak <= UInt64(Int64.max) - size / 512 else { return .untrue("its sectors begin with number \(tweak)") }
    return nil
  }

  private var cipherProblem: Problem? {
    guard cipher == "aes-xts-plain64" else {
      return .unsupported("its cipher is \(cipher), and only aes-xts-plain64 is supported")
    }
    guard keySize == 256 || keySize == 512 else {
      return .unsupported("its key has \(keySize) bits, and only 256 and 512 are supported")
    }
    return nil
  }

  private var keySlotProblem: Problem? {
    guard !keySlots.isEmpty else { return .untrue("it has no key slot, so no passphrase opens it") }
    for slot in keySlots {
      let (end, overflow) = slot.offset.addingReportingOverflow(slot.size)
      guard !overflow, end <= length, end <= dataOffset else {
        return .untrue("key slot \(slot.number) reaches beyond the end of the header")
      }
      // Key material is the volume key in 4000 stripes.
      guard slot.size >= UInt64(keySize / 8) * 4000 else {
        return .untrue("key slot \(slot.number) is cut short: it has \(slot.size) bytes")
      }
    }
    return nil
  }

  private var costProblem: Problem? {
    var iterations = digestIterations
    var work: UInt64 = 0
    for slot in keySlots {
      if slot.pbkdf == "pbkdf2" {
        iterations = iterations.saturatingSum(slot.iterations)
      } else if ["argon2i", "argon2id"].contains(slot.pbkdf) {
        guard slot.memory <= Self.mostMemory, slot.threads <= Self.mostThreads else {
          return .untrue(
            "key slot \(slot.number) wants \(slot.memory) KiB of memory and \(slot.threads) threads for one try")
        }
        work = work.saturatingSum(slot.memory.saturatingProduct(slot.iterations))
      } else {
        return .unsupported("key slot \(slot.number) derives its key by \(slot.pbkdf)")
      }
    }
    guard iterations <= Self.mostIterations, work <= Self.mostArgonWork else {
      return .untrue("to try a passphrase would take \(iterations) iterations of PBKDF2 and \(work) KiB of Argon2")
    }
    return nil
  }
}

extension UInt64 {
  fileprivate func saturatingSum(_ other: UInt64) -> UInt64 {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? .max : sum
  }

  fileprivate func saturatingProduct(_ other: UInt64) -> UInt64 {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : product
  }
}
