public import Engine

extension Engine: ControlledEngine {
  public func startUpload(image: String, length: Int64?, by caller: Caller) async throws -> any ContentTransfer {
    try beginUpload(image: image, length: length, by: caller)
  }

  public func startSave(image: String, by caller: Caller) async throws -> any ContentTransfer {
    try beginSave(image: image, by: caller)
  }
}

extension Transfer: ContentTransfer {}
