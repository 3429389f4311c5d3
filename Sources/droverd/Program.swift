import ArgumentParser
import DroverModel
import Glibc

@main enum Program {
  /// Ends with the exit codes of docs/cli.md: 2 for a usage that is not valid, else the fault's.
  static func main() async {
    signal(SIGPIPE, SIG_IGN)
    let command: any ParsableCommand
    do {
      command = try Droverd.parseAsRoot()
    } catch {
      // Help and version are no errors.
      let isUsageError = !Droverd.exitCode(for: error).isSuccess
      say(Droverd.fullMessage(for: error), to: isUsageError ? STDERR_FILENO : STDOUT_FILENO)
      exit(isUsageError ? 2 : 0)
    }
    do {
      if var command = command as? any AsyncParsableCommand {
        try await command.run()
      } else {
        var command = command
        try command.run()
      }
    } catch let error as InvalidConfiguration {
      say(error.fault)
      exit(2)
    } catch let fault as Fault {
      say(fault)
      exit(fault.code.exitCode)
    } catch  where Droverd.exitCode(for: error).isSuccess {
      say(Droverd.fullMessage(for: error), to: STDOUT_FILENO)
    } catch {
      say("droverd: \(error)", to: STDERR_FILENO)
      exit(1)
    }
  }

  private static func say(_ fault: Fault) {
    say("droverd: \(fault.message)\(fault.hint.map { "; \($0)" } ?? "")", to: STDERR_FILENO)
  }

  private static func say(_ text: String, to descriptor: Int32) {
    let line = Array(text.utf8) + [UInt8(ascii: "\n")]
    if !text.isEmpty { _ = write(descriptor, line, line.count) }
  }
}

struct Droverd: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "droverd", abstract: "Keeps disk images, and backs them up in Longhorn's format.",
    version: "droverd \(DroverVersion.current)", subcommands: [ServeCommand.self])
}
