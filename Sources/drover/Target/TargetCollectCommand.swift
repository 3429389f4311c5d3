import ArgumentParser
import DroverModel

struct TargetCollectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "gc", abstract: "Remove the blocks of a target that no backup needs.",
    discussion: """
      What deletions and broken-off backups have left. Nothing is removed while anything is in doubt: a config that can't
      be read, a backup that is being made, a store that lists no backups at all. Then this fails with exit code 5 and the
      reason.
      """)

  @OptionGroup var tending: TendingOptions

  @Flag(help: "Tell how many blocks and bytes that would be, and remove nothing.")
  var dryRun = false

  func run() throws {
    let result = try tending.run(.gc, ["dryRun": .bool(dryRun)])
    let blocks = result["removedBlocks"]?.int ?? 0
    let bytes = result["removedBytes"]?.int ?? 0
    try ObjectOutput(format: tending.output.format).show(result) {
      var text = "\(blocks) of \(result["blocks"]?.int ?? 0) blocks (\(ByteSize.text(bytes)))"
      text += dryRun ? " would be removed\n" : " removed\n"
      if let kept = result["kept"]?.string { text += "kept: \(kept)\n" }
      return text
    }
  }
}
