import ArgumentParser
import ControlAPI
import DroverModel
import Glibc

struct GetCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "get", abstract: "Show one object, several, or all of a kind.")

  @Argument(help: ArgumentHelp("KIND, KIND NAME... or KIND/NAME.", valueName: "object"))
  var words: [String]

  @Option(
    name: [.customShort("l"), .customLong("selector")],
    help: ArgumentHelp("Only objects with these labels.", valueName: "key=value"))
  var selector: String?

  @Flag(name: [.customShort("w"), .long], help: "Go on and show each change.")
  var watch = false

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let reference = try ObjectReference(words)
    let daemon = connection.daemon
    if let selector {
      guard reference.names.isEmpty else {
        throw Fault(.invalid, "-l is for all objects of a kind, not for one by name")
      }
      _ = try LabelSelector(selector)
    }
    if watch { return try watch(reference, daemon) }
    let output = ObjectOutput(format: output.format)
    if reference.names.count == 1 {
      return try output.show(try daemon.resource(ResourceKey(reference.kind, reference.names[0])))
    }
    if reference.names.isEmpty { return try output.show(try objects(reference, daemon)) }
    var found: [Resource] = []
    var failures = Failures()
    for name in reference.names {
      try failures.attempt { found.append(try daemon.resource(ResourceKey(reference.kind, name))) }
    }
    if !found.isEmpty { try output.show(found) }
    try failures.end(succeeded: found.count)
  }

  private func objects(_ reference: ObjectReference, _ daemon: Daemon) throws -> [Resource] {
    guard reference.names.isEmpty else {
      return try reference.names.map { try daemon.resource(ResourceKey(reference.kind, $0)) }
    }
    return try daemon.resources(reference.kind, labels: selector)
  }

  /// A row, or a document of JSON a line, for each object that is new or has changed.
  private func watch(_ reference: ObjectReference, _ daemon: Daemon) throws {
    Interrupts.watch()
    var seen: [String: Resource] = [:]
    var widths: [Int]?
    while true {
      let current = try objects(reference, daemon)
      func identity(_ object: Resource) -> String { "\(object.metadata.namespace ?? "")/\(object.metadata.name)" }
      let changed = current.filter { seen[identity($0)] != $0 }
      seen = Dictionary(uniqueKeysWithValues: current.map { (identity($0), $0) })
      switch output.format {
      case .table, .wide:
        guard !changed.isEmpty else { break }
        let columns = ObjectColumns(reference.kind, wide: output.format == .wide, now: Double(time(nil)))
        let table = Table(header: columns.header, rows: changed.map(columns.row))
        let lines = table.lines(withHeader: widths == nil, widths: widths)
        widths = widths ?? table.widths
        for line in lines { print(line) }
      case .json: for resource in changed { print(try APIJSON.encode(resource)) }
      case .yaml: for resource in changed { print("---\n" + yaml(try JSONValue(encoding: resource)), terminator: "") }
      case .name: for resource in changed { print(ObjectOutput(format: .name).name(resource)) }
      }
      fflush(nil)
      try Interrupts.check()
      Interrupts.pause(seconds: 0.5)
      try Interrupts.check()
    }
  }
}
