import DroverModel

/// From what is wanted, and what there is, to the pipeline that leads there. Pure: the same input, the same plan.
public struct Planner: Sendable {
  public var facts: Facts

  public init(_ facts: Facts) { self.facts = facts }

  /// The file of an image as a source, byte for byte as it lies on disk.
  func imageFile(_ path: String) -> Pipeline.Stage {
    Pipeline.Stage("clone", .source, ["path": .string(path), "view": "file"])
  }

  /// The disk that the file of an image is the image of: for a raw file the same.
  func guestView(_ path: String) -> Pipeline.Stage {
    Pipeline.Stage("clone", .source, ["path": .string(path), "view": "guest"])
  }

  /// An image that must be there now.
  func ready(_ name: String, for purpose: String) throws(Fault) -> (path: String, facts: Facts.ImageFacts) {
    guard let image = facts.images[name] else {
      throw Fault(.notFound, "backingimage/\(name) does not exist", hint: "drover get backingimage lists the images")
    }
    guard image.state == .ready, let path = image.path else {
      let why = image.message.isEmpty ? "" : ": \(image.message)"
      throw Fault(
        .conflict, "backingimage/\(name) is \(image.state.rawValue), not ready, which \(purpose) needs\(why)",
        hint: image.state == .failed ? nil : "drover wait backingimage/\(name) --for ready")
    }
    return (path, image)
  }

  /// The target that a URL means, where there is one: of two in one place the one whose credentials are known.
  func target(at url: TargetURL) -> String? {
    facts.targets.filter { $0.value == url }.keys.min {
      (facts.credentials[$0] == nil ? 1 : 0, $0) < (facts.credentials[$1] == nil ? 1 : 0, $1)
    }
  }

  /// What a stage is given that reaches a target.
  func credentials(of target: String?, stage: Int) -> [Pipeline.CredentialUse] {
    guard let secret = target.flatMap({ facts.credentials[$0] }) else { return [] }
    return [Pipeline.CredentialUse(stage: stage, secret: secret)]
  }

  func target(_ name: String, for key: ResourceKey) throws(Fault) -> TargetURL {
    guard let url = facts.targets[name] else {
      throw Fault(
        .notFound, "\(key) lies on backuptarget/\(name), which does not exist",
        hint: "drover get backuptarget lists the targets")
    }
    return url
  }
}
