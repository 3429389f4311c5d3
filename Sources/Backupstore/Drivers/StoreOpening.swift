import DroverModel

/// Opens the driver that the URL asks for, which reaches the place once.
/// - Parameters:
///   - credentials: What the target's secret holds.
///   - create: Makes a folder that is not there: for the store that Drover itself keeps.
///   - stallSeconds: How long a network may be silent.
public func openStore(
  _ url: StoreURL, credentials: StoreCredentials = .none, create: Bool = false, stallSeconds: Double = 30
) throws(StoreError) -> any ObjectStore {
  switch url.place {
  case .folder: return try FileStore(url, create: create)
  case .bucket(let bucket):
    return try S3Store(
      url: url.description, settings: S3Settings(bucket, credentials, url: url.description),
      timing: S3Timing(stallSeconds: stallSeconds))
  case .export(let export): return try NFSStore(url: url.description, export, stallSeconds: stallSeconds)
  }
}
