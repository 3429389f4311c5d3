extension ObjectStore {
  /// Longest config that is read: that of an image of five terabytes.
  static var longestConfig: Int { 256 << 20 }

  /// Names in the folder of images that may be images: valid ones, but not what a crashed writer left.
  func imageNames() throws(StoreError) -> [String] {
    try names(in: StoreLayout.images, deadline: .usual)
      .filter { StoreName.isValid($0) && !StoreName.isTemporary($0) }
      .sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// The image's config, complete or not; nil: there is certainly none.
  func imageConfig(_ name: String) throws(StoreError) -> ImageConfig? {
    let path = StoreLayout.imageConfig(name)
    guard let bytes = try document(path, limit: Self.longestConfig) else { return nil }
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(StoreError) in try ImageConfig(decoding: bytes, path: "\(url)/\(path)") }
    }
    return try result.get()
  }
}
