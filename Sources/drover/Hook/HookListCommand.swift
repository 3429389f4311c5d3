import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel

struct HookListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "Show the files of the hooks folder: what each is asked, and why one is not.")

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let hooks: HookList = try connection.daemon.client.get(APIPath.hooks)
    try ObjectOutput(format: output.format).show(hooks) {
      if output.format == .name { return hooks.items.map { "\($0.file)\n" }.joined() }
      return hookTable(hooks.items, wide: output.format == .wide)
    }
  }
}

func hookTable(_ hooks: [HookFile], wide: Bool) -> String {
  let rows = hooks.map { hook in
    let shadowed = hook.points.filter { !hook.asked.contains($0) }
    return [
      hook.file, hook.active ? "yes" : "no", list(hook.asked), list(shadowed),
      hook.error.map { hook.points.isEmpty ? $0.message : "the version before is asked: \($0.message)" } ?? "-",
    ] + (wide ? [hook.digest ?? "-"] : [])
  }
  return Table(header: ["FILE", "ACTIVE", "ASKED", "SHADOWED", "ERROR"] + (wide ? ["DIGEST"] : []), rows: rows).text
}

private func list(_ points: [String]) -> String { points.isEmpty ? "-" : points.joined(separator: ",") }
