import ArgumentParser
import DroverModel
import Glibc

@main
struct Drover: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "drover",
    abstract: "Keeps disk images, and gets them into and out of a backupstore in Longhorn's format.",
    discussion: """
      Kinds: backingimage (bi), backupbackingimage (bbi), backuptarget (bt), volume (vol), snapshot (snap), backup, secret,
      job.
      The daemon's socket is --socket, else DROVER_SOCKET, else the default that droverd has too.

      Exit codes: 0 done, 1 failed, 2 usage or a manifest that is not valid, 3 partly done, 4 not found, 5 conflict or
      in use, 6 locked, 7 a checksum does not match, 8 key missing or wrong, 9 no space, 10 target unreachable,
      11 timed out, 12 cancelled, 13 daemon unreachable, 14 not permitted, 128+N ended by signal N.
      """,
    version: DroverVersion.current,
    groupedSubcommands: [
      CommandGroup(
        name: "Objects",
        subcommands: [ApplyCommand.self, GetCommand.self, DescribeCommand.self, DeleteCommand.self, WaitCommand.self]),
      CommandGroup(
        name: "Verbs for people",
        subcommands: [
          ImageCommand.self, VolumeCommand.self, SnapshotCommand.self, SecretCommand.self, BackupCommand.self,
          RestoreCommand.self, TargetCommand.self,
          JobCommand.self, PluginCommand.self, HookCommand.self,
        ]),
      CommandGroup(
        name: "The daemon",
        subcommands: [StatusCommand.self, VersionCommand.self, EventsCommand.self, CompletionCommand.self]),
    ])

  @OptionGroup var connection: ConnectionOptions

  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let report = ErrorReport(arguments: arguments)
    do {
      var command = try parseAsRoot(arguments)
      try command.run()
      fflush(nil)
    } catch let fault as Fault {
      report.end(fault)
    } catch let code as ExitCode {
      Glibc.exit(code.rawValue)
    } catch {
      report.end(parsing: error)
    }
  }
}
