import DroverModel

/// Objects as they are named on the command line: `KIND`, `KIND NAME…` or `KIND/NAME`; a Secret's name may have its
/// namespace and a slash before it.
struct ObjectReference {
  var kind: ResourceKind
  var names: [String]

  init(_ words: [String]) throws(Fault) {
    guard let first = words.first else { throw Fault(.invalid, "name a kind", hint: "drover --help lists the kinds") }
    let sides = first.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
    kind = try ResourceKind(named: sides[0])
    names = Array(sides.dropFirst()) + words.dropFirst()
    if sides.count == 2, words.count > 1 {
      throw Fault(.invalid, "\"\(first)\" names an object already; \"\(words[1])\" is too much")
    }
    if kind == .secret {
      for index in names.indices { names[index] = try SecretReference(names[index]).key.name }
      return
    }
    for name in names { try Self.check(name) }
  }

  /// One object, and nothing else.
  static func key(_ words: [String]) throws(Fault) -> ResourceKey {
    let reference = try Self(words)
    guard reference.names.count == 1 else {
      throw Fault(.invalid, "name one object: \(reference.kind.rawValue) NAME, or \(reference.kind.rawValue)/NAME")
    }
    return ResourceKey(reference.kind, reference.names[0])
  }

  static func key(_ kind: ResourceKind, _ name: String) throws(Fault) -> ResourceKey {
    try check(name)
    return ResourceKey(kind, name)
  }

  /// Only what could be a part of a path; the daemon knows the rules of names.
  private static func check(_ name: String) throws(Fault) {
    guard !name.isEmpty, name != ".", name != "..", !name.contains("/") else {
      throw Fault(.invalid, "\"\(name)\" can't be the name of an object")
    }
  }
}
