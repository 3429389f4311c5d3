import DroverModel

/// Where the image file's SHA-512 of one copy comes from.
enum ChecksumPlan {
  /// Neither side is an image file.
  case none
  /// The source has it, its file has not been touched since, and the sink compares every block with the source's
  /// hashes: what rotted below the file system is found.
  case known(ImageChecksum)
  /// The pump feeds every byte in order.
  case inOrder
  /// A thread reads the written image back behind the pump.
  case behindPump(StageDevice)
  /// The same below filters, which write where they like.
  case behindFilters(WriteWatch)
  /// A thread reads the source's image, beside the pump.
  case besidePump(StageDevice, size: UInt64)

  /// - Parameter start: Where the copy goes on; what is below can't be fed any more.
  init(from: DeviceStack, to: DeviceStack, start: UInt64) {
    let source = from.lowest.info
    let canBeFed = start == 0 && !to.top.info.takesAbsent
    if to.lowest.info.isImageFile {
      if let watch = to.watch {
        self = .behindFilters(watch)
      } else {
        self = canBeFed ? .inOrder : .behindPump(to.lowest)
      }
    } else if source.isImageFile, !from.hasFilters, !to.hasFilters, to.top.info.checksHashes,
      let known = ImageChecksum(of: source), known.blockHashes != nil
    {
      self = .known(known)
    } else if source.isImageFile || source.sha512 != nil {
      if !from.hasFilters, canBeFed {
        self = .inOrder
      } else if let size = source.size, !source.isSequential {
        self = .besidePump(from.lowest, size: size)
      } else {
        self = .none
      }
    } else {
      self = .none
    }
  }

  /// Whether nobody needs to see the bytes.
  var isPassive: Bool {
    switch self {
    case .none, .known: true
    default: false
    }
  }
}

extension ImageChecksum {
  /// What a device knows of its content; nil if nothing.
  init?(of info: DeviceInfo) {
    guard let sha512 = info.sha512 else { return nil }
    self.init(sha512: sha512, blockHashes: info.blockHashes.map { Array($0) })
  }
}
