import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel

struct VersionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "version", abstract: "Show the versions of this program and of the daemon.")

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    var report = VersionReport(client: DroverVersion.current)
    var reason = ""
    do {
      report.daemon = try connection.daemon.client.get(APIPath.version)
    } catch let fault as Fault where fault.code == .daemonUnreachable || fault.code == .notPermitted {
      reason = fault.message
    }
    try ObjectOutput(format: output.format).show(report) {
      let daemon = report.daemon.map { "\($0.version), plugin ABI \($0.pluginABI)" } ?? "not reachable: \(reason)"
      return "drover   \(report.client)\ndroverd  \(daemon)\n"
    }
  }
}
