/// Opens the driver that the URL asks for, which reaches the place once. With `create`, a folder that is not there is
/// made: for the store that Drover itself keeps.
public func openStore(_ url: StoreURL, create: Bool = false) throws(StoreError) -> any ObjectStore {
  try FileStore(url, create: create)
}
