import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel
import Glibc

struct DescribeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "describe", abstract: "Show an object with its jobs, its events and what depends on it.")

  @Argument(help: ArgumentHelp("KIND NAME or KIND/NAME.", valueName: "object"))
  var words: [String]

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let key = try ObjectReference.key(words)
    let description: Description = try connection.daemon.client.get(APIPath.describe(key))
    let output = ObjectOutput(format: output.format)
    try output.show(description) {
      output.format == .name ? output.name(description.object) + "\n" : try text(description, now: output.now)
    }
  }

  /// A volume's layers, the head first, down to the image; snapshots beside the chain stand at the snapshot that they
  /// branch from.
  private func layers(_ volume: Resource) throws -> String {
    let status = Volume.Status(volume.status)
    guard status.isThere else { return "" }
    let snapshots = try connection.daemon.resources(.snapshot).filter {
      $0.spec["volume"]?.string == volume.metadata.name
    }
    return LayerDrawing(snapshots, chain: status.chain, image: status.backingImage).text
  }

  private func text(_ description: Description, now: Double) throws -> String {
    let object = description.object
    var text = "Name:     \(object.metadata.name)\nKind:     \(object.kind)\n"
    if let created = object.metadata.creationTimestamp { text += "Created:  \(created)\n" }
    let labels = (object.metadata.labels ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key)=\($0.value)" }
    if !labels.isEmpty { text += "Labels:   \(labels.joined(separator: ", "))\n" }
    text += section("Spec", yaml(.object(object.spec)), isEmpty: object.spec.isEmpty)
    text += section("Status", yaml(.object(object.status)), isEmpty: object.status.isEmpty)
    if object.kind == ResourceKind.volume.manifestName {
      let layers = try layers(object)
      text += section("Layers", layers, isEmpty: layers.isEmpty)
    }
    let columns = ObjectColumns(.job, wide: false, now: now)
    let jobs = Table(header: columns.header, rows: description.jobs.map(columns.row)).text
    text += section("Jobs", jobs, isEmpty: description.jobs.isEmpty)
    let events = Table(
      header: ["TIME", "TYPE", "JOB", "MESSAGE"],
      rows: description.events.map { [$0.time, $0.type.rawValue, $0.job ?? "-", $0.message] }
    ).text
    text += section("Events", events, isEmpty: description.events.isEmpty)
    let dependents = description.dependents.map { "\($0)\n" }.joined()
    return text + section("Needed by", dependents, isEmpty: description.dependents.isEmpty)
  }

  private func section(_ title: String, _ content: String, isEmpty: Bool) -> String {
    guard !isEmpty else { return "" }
    return "\n\(title)\n" + content.split(separator: "\n").map { "  \($0)\n" }.joined()
  }
}
