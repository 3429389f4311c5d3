import DroverModel

/// Words the refusals of one plugin, and makes the checks that several of its structs share.
struct DescriptorCheck {
  let plugin: String
  var stage: String?

  func refused(_ why: String) -> Fault {
    let subject = stage.map { "plugin \(plugin), stage \($0)" } ?? "plugin \(plugin)"
    return Fault(
      .pluginRefused, "\(subject): \(why)", hint: "it needs a build for this version of drover_plugin.h")
  }

  func size(_ name: String, _ size: Int, atLeast least: Int) throws(Fault) {
    guard size >= least else { throw refused("\(name).struct_size is \(size), at least \(least) is needed") }
  }

  /// `^[a-z][a-z0-9-]{1,30}$`
  func name(_ field: String, _ pointer: UnsafePointer<CChar>?) throws(Fault) -> String {
    guard let name = String(plugin: pointer, limit: 100) else { throw refused("\(field) is NULL") }
    let rest = name.utf8.dropFirst()
    guard let first = name.utf8.first, (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(first),
      (1...30).contains(rest.count),
      rest.allSatisfy({
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
          || $0 == UInt8(ascii: "-")
      })
    else { throw refused("\(field) is `\(name)`; a name is a lower-case letter and 1 to 30 of a-z, 0-9 and -") }
    return name
  }

  func callback(_ field: String, isThere: Bool) throws(Fault) {
    guard isThere else { throw refused("\(field) is NULL, but required for its roles") }
  }
}
