/// What holds for every volume. Sizes in bytes.
public enum Volume {
  /// What a layer has or has not of, as a whole.
  public static let sectorSize: UInt64 = 4096
  /// A new volume's size is a multiple of it, as Longhorn's.
  public static let sizeUnit: UInt64 = 2 << 20
  /// No file system has larger files.
  public static let largest: UInt64 = 1 << 60
  /// Layers from the head down to the oldest snapshot.
  public static let mostLayers = 250

  /// The size of a volume that must hold `size` bytes.
  public static func rounded(_ size: UInt64) throws -> UInt64 {
    guard size > 0, size <= largest else {
      throw VolumeError(.badSize, "a volume can't have \(size) bytes", hint: "it has at least 1 and at most \(largest)")
    }
    return (size + sizeUnit - 1) / sizeUnit * sizeUnit
  }
}
