import ArgumentParser
import DroverModel

struct TargetVerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify", abstract: "Read a target in place, and tell which backups are good.",
    discussion: """
      Without --sample and --all, every config is read and every block that one names must be there. A bad block is moved
      aside, so that the next backup of that image writes it again. The exit code is 7 when a backup is damaged.
      """)

  @OptionGroup var tending: TendingOptions

  @Option(
    help: ArgumentHelp(
      "Read so many percent of the blocks, those that come next: runs cover everything in turn.", valueName: "percent"))
  var sample: Percentage?

  @Flag(help: "Read every block.")
  var all = false

  @Flag(help: "Leave bad blocks where they are.")
  var dryRun = false

  @Option(
    help: ArgumentHelp(
      "Read at most so many bytes of the store a second: 50M.", valueName: "bytes"))
  var limitRate: ReadingLimit?

  func validate() throws {
    if sample != nil && all { throw ValidationError("--sample and --all exclude each other") }
  }

  func run() throws {
    var request: [String: JSONValue] = ["all": .bool(all), "dryRun": .bool(dryRun)]
    if let sample { request["sample"] = .double(sample.value) }
    if let limitRate { request["bytesPerSecond"] = .int(limitRate.bytesPerSecond) }
    let result = try tending.run(.verify, request)
    let backups = result["backups"]?.array ?? []
    try ObjectOutput(format: tending.output.format).show(result) {
      let rows = backups.map { backup in
        let volume = backup["volume"]?.string.map { "\($0)/" } ?? ""
        return [
          backup["kind"]?.string ?? "", volume + (backup["name"]?.string ?? ""), backup["state"]?.string ?? "",
          String(backup["blocks"]?.int ?? 0), String(backup["damagedBlocks"]?.int ?? 0),
          backup["reason"]?.string ?? "",
        ]
      }
      return Table(header: ["KIND", "BACKUP", "RESULT", "BLOCKS", "DAMAGED", "REASON"], rows: rows).text
    }
    summarize(result)
    let damaged = result["damagedBackups"]?.int ?? 0
    guard damaged == 0 else {
      throw Fault(
        .badBlock, "\(damaged) of \(backups.count) backups in backuptarget/\(tending.name) are damaged",
        hint: hint(result, backups))
    }
  }

  private func hint(_ result: [String: JSONValue], _ backups: [JSONValue]) -> String {
    if dryRun {
      return
        "without --dry-run, bad blocks are moved aside and the next backup of the same image writes them again"
    }
    guard backups.contains(where: { ($0["damagedInPlace"]?.int ?? 0) > 0 }) else {
      return
        "back up the same images again, and what is bad or missing is written again: drover backup create image NAME"
    }
    let reason = result["repairProblem"]?.string.map { ": \($0)" } ?? ""
    return "bad blocks lie in place, and no backup writes them again before they are moved aside\(reason)"
  }

  private func summarize(_ result: [String: JSONValue]) {
    guard !tending.progress.quiet, !tending.progress.jsonProgress else { return }
    func number(_ key: String) -> Int64 { result[key]?.int ?? 0 }
    var text = "\(number("readBlocks")) of \(number("blocks")) blocks read (\(ByteSize.text(number("readBytes"))))"
    if number("damagedBlocks") > 0 { text += ", \(number("damagedBlocks")) bad or missing" }
    if number("asideBlocks") > 0 { text += ", \(number("asideBlocks")) moved aside" }
    if number("unreferencedBlocks") > 0 { text += ", \(number("unreferencedBlocks")) needed by no backup" }
    if let problem = result["repairProblem"]?.string { text += "; bad blocks left in place: \(problem)" }
    writeError(text)
  }
}

/// More than 0 and at most 100; a percent sign may follow.
struct Percentage: ExpressibleByArgument {
  var value: Double

  init?(argument: String) {
    let digits = argument.hasSuffix("%") ? argument.dropLast() : Substring(argument)
    guard let value = Double(digits), value > 0, value <= 100 else { return nil }
    self.value = value
  }
}

/// Bytes a second, at least one: `50M`, `1.5GiB`.
struct ReadingLimit: ExpressibleByArgument {
  var bytesPerSecond: Int64

  init?(argument: String) {
    guard let bytes = ByteSize.parse(argument), bytes > 0 else { return nil }
    bytesPerSecond = bytes
  }
}
