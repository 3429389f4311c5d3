import ControlAPI
import DroverModel

/// `backingimage/parrot: copying, 45%, 1.2 GiB of 2.5 GiB, 120.3 MiB/s, 12s left`
func progressText(_ progress: ProgressState) -> String {
  "\(progress.subject): " + ([progress.phase, "\(progress.percent)%"] + figures(progress)).joined(separator: ", ")
}

/// `backingimage/parrot  [#########-----------]  45%  1.2 GiB of 2.5 GiB, 120.3 MiB/s, 12s left, copying`, cut to
/// `width` columns.
func progressBar(_ progress: ProgressState, width: Int, color: Bool) -> String {
  let length = 20
  let filled = min(length, max(0, progress.percent * length / 100))
  let percent = String("  \(progress.percent)".suffix(3))
  let details = (figures(progress) + [progress.phase]).joined(separator: ", ")
  let head = "\(progress.subject)  ["
  let bar = String(repeating: "#", count: filled) + String(repeating: "-", count: length - filled)
  let line = "\(head)\(bar)] \(percent)%  \(details)"
  guard color, line.count <= width, filled > 0 else { return String(line.prefix(max(0, width))) }
  let done = String(repeating: "#", count: filled)
  return "\(head)\u{1B}[32m\(done)\u{1B}[0m\(bar.dropFirst(filled))] \(percent)%  \(details)"
}

private func figures(_ progress: ProgressState) -> [String] {
  var figures: [String] = []
  if let done = progress.bytesDone {
    figures.append(ByteSize.text(done) + (progress.bytesTotal.map { " of \(ByteSize.text($0))" } ?? ""))
  }
  if let rate = progress.bytesPerSecond { figures.append("\(ByteSize.text(rate))/s") }
  if let eta = progress.etaSeconds { figures.append("\(TimeSpan.text(Double(max(1, eta)))) left") }
  if let attempt = progress.attempt, attempt > 1 { figures.append("attempt \(attempt)") }
  return figures
}
