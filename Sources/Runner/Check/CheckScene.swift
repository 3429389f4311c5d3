import DroverModel
import Glibc
import LinuxSystem

/// Where one case of a check takes place: folders of its own, and parameters that name them.
final class CheckScene {
  let folder: String
  private let number: Int
  private let template: [String: JSONValue]

  /// Bytes that a `{stream}` brings.
  static let streamSize = (1 << 20) + 512

  /// - Parameter template: Parameters with placeholders.
  init(scratch: String, number: Int, template: [String: JSONValue]) throws {
    self.number = number
    self.template = template
    folder = "\(scratch)/\(number)"
    // A worker that died has left its own.
    try Folder.removeTree(folder)
    try Folder.create(files, permissions: 0o700)
    try Folder.create(jobFolder, permissions: 0o700)
  }

  /// Removes all that lies there.
  func end() { try? Folder.removeTree(folder) }

  /// What `{folder}` names.
  var files: String { "\(folder)/files" }
  var jobFolder: String { "\(folder)/job" }

  /// For one opening: `{folder}` and `{case}` stand for text anywhere in a string; a string that is `{stream}`,
  /// `{drain}` or `{size}` becomes a number.
  func params() throws -> [String: JSONValue] { try template.mapValues(fill) }

  private func fill(_ value: JSONValue) throws -> JSONValue {
    switch value {
    case .string("{stream}"): return .int(Int64(try ScratchStream(size: Self.streamSize).descriptor))
    case .string("{drain}"): return .int(Int64(try ScratchStream(size: nil).descriptor))
    case .string("{size}"): return .int(Int64(Self.streamSize))
    case .string(let text):
      return .string(replace("{case}", by: "\(number)", in: replace("{folder}", by: files, in: text)))
    case .array(let values): return .array(try values.map(fill))
    case .object(let members): return .object(try members.mapValues(fill))
    default: return value
    }
  }

  private func replace(_ name: String, by text: String, in whole: String) -> String {
    var parts: [Substring] = []
    var rest = whole[...]
    while let found = rest.firstRange(of: name) {
      parts.append(rest[..<found.lowerBound])
      rest = rest[found.upperBound...]
    }
    parts.append(rest)
    return parts.joined(separator: text)
  }

  /// The same without what a stage may leave behind after discard.
  func leftovers(but allowed: [String]) throws -> [String] {
    try listing().filter { entry in !allowed.contains { entry.contains($0) } }
  }

  /// Each file in `{folder}` and in the job's folder, with its size; the runner's lock is left out.
  func listing() throws -> [String] {
    var found: [String] = []
    func look(_ path: String, _ name: String) throws {
      for entry in try Folder.listIfPresent(path) ?? [] {
        let (below, belowName) = ("\(path)/\(entry)", "\(name)/\(entry)")
        guard let status = try FileStatus.of(below, followLinks: false) else { continue }
        if status.isFolder { try look(below, belowName) } else { found.append("\(belowName) (\(status.size) bytes)") }
      }
    }
    try look(files, "{folder}")
    try look(jobFolder, "job folder")
    return found.filter { !$0.hasPrefix("job folder/lock ") }.sorted()
  }
}
