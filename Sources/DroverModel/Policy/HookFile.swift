/// One file of the hooks folder, as the daemon holds it: `drover hook list`, and `hooks` of `drover status`.
public struct HookFile: Sendable, Hashable, Codable {
  /// Its name without the folder; of the folder itself, where that can't be used, the path.
  public var file: String
  /// What the version of it handles that is in use.
  public var points: [String]
  /// Of `points`, those for which this file is asked. The others are shadowed by a later file.
  public var asked: [String]
  /// SHA-512 of the version in use, in hexadecimal; nil where there is none.
  public var digest: String?
  /// Why the file as it is now is not in use. An older version of it may be.
  public var error: Problem?

  /// Whether it is asked for anything.
  public var active: Bool { !asked.isEmpty }

  public init(
    file: String, points: [String] = [], asked: [String] = [], digest: String? = nil, error: Problem? = nil
  ) {
    self.file = file
    self.points = points
    self.asked = asked
    self.digest = digest
    self.error = error
  }

  public struct Problem: Sendable, Hashable, Codable {
    /// From 1, where it is known.
    public var line: Int?
    public var message: String

    public init(line: Int? = nil, message: String) {
      self.line = line
      self.message = message
    }
  }

  private enum CodingKeys: String, CodingKey { case file, points, active, asked, digest, error }

  public init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: CodingKeys.self)
    self.init(
      file: try container.decode(String.self, forKey: .file),
      points: try container.decode([String].self, forKey: .points),
      asked: try container.decodeIfPresent([String].self, forKey: .asked) ?? [],
      digest: try container.decodeIfPresent(String.self, forKey: .digest),
      error: try container.decodeIfPresent(Problem.self, forKey: .error))
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: CodingKeys.self)
    try container.encode(file, forKey: .file)
    try container.encode(points, forKey: .points)
    try container.encode(active, forKey: .active)
    try container.encode(asked, forKey: .asked)
    try container.encodeIfPresent(digest, forKey: .digest)
    // Null rather than absent: `hooks[].error` is what a monitor looks at.
    try container.encode(error, forKey: .error)
  }
}
