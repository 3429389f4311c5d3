import ArgumentParser

struct CompletionCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "completion", abstract: "Print a completion script for a shell.")

  @Argument(help: "bash, zsh or fish.") var shell: Shell

  enum Shell: String, ExpressibleByArgument, CaseIterable {
    case bash, zsh, fish
  }

  func run() {
    switch shell {
    case .bash: print(Drover.completionScript(for: .bash))
    case .zsh: print(Drover.completionScript(for: .zsh))
    case .fish: print(Drover.completionScript(for: .fish))
    }
  }
}
