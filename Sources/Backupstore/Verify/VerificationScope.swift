public import DroverModel

/// How much of a store is verified.
public enum VerificationScope: Sendable, Hashable {
  /// Every config is read, and every block that one names is listed.
  case structure
  /// That, and each block whose name lies in the slice is read.
  case slice(NameSlice)
  /// That, and each block is read.
  case all

  func includes(_ name: BlockName) -> Bool {
    switch self {
    case .structure: false
    case .slice(let slice): slice.includes(name)
    case .all: true
    }
  }

  /// Of the blocks, as far as chance has it.
  var share: Double {
    switch self {
    case .structure: 0
    case .slice(let slice): slice.share
    case .all: 1
    }
  }
}

extension NameSlice {
  func includes(_ name: BlockName) -> Bool { name.prefix >= start && end.map { name.prefix < $0 } ?? true }
}
