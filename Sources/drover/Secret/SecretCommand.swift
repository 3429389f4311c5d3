import ArgumentParser

struct SecretCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "secret", abstract: "Keep passphrases for encrypted images.",
    discussion: "Other Secrets, and other keys of one, are applied as a manifest. What is in a Secret is never shown.",
    subcommands: [SecretCreateCommand.self])
}
