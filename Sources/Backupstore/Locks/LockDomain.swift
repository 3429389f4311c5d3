/// What one lock is for. All images of a store share one, each volume has its own. Source: longhorn-format, 6.
public enum LockDomain: Sendable, Hashable, CustomStringConvertible {
  case images
  /// A valid name.
  case volume(String)

  var path: String {
    switch self {
    case .images: StoreLayout.imageLocks
    case .volume(let name): StoreLayout.volumeLocks(name)
    }
  }

  public var description: String {
    switch self {
    case .images: "the folder of images"
    case .volume(let name): "volume \(name)"
    }
  }
}
