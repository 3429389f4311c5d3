/// A qcow2 file whose guest can't be read: it is damaged, or says something that this reader does not take. Trying again
/// does not help.
public struct Qcow2Error: Error, Sendable, Hashable, CustomStringConvertible {
  public var path: String
  /// What is wrong, where in the file.
  public var problem: String
  /// What to do next; may be empty.
  public var hint: String

  init(_ path: String, _ problem: String, hint: String = "") {
    self.path = path
    self.problem = problem
    self.hint = hint
  }

  public var description: String { "\(path) can't be read as qcow2: \(problem)" }
}
