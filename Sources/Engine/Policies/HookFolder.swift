import DroverModel
import LinuxSystem

/// The folder of policy scripts, as it lies on disk. Calls block.
struct HookFolder: Sendable {
  let path: String

  /// No script is longer.
  static let longestScript = 1 << 20

  /// A file, looked at but not read.
  struct Look: Sendable {
    var file: String
    /// Changes whenever the file may have changed; nil where it can't be used.
    var stamp: FileStatus?
    var problem: HookFile.Problem?
  }

  /// `*.lua` directly in the folder, in byte order of their names; none where there is no folder.
  /// - Throws: What is wrong with the folder itself.
  func look() throws(HookFolderProblem) -> [Look] {
    let names: [String]
    do throws(TrustedPath.Refusal) { _ = try TrustedPath.resolve(path, .folder) } catch {
      if error.isAbsent { return [] }
      throw HookFolderProblem(error)
    }
    do throws(SystemError) { names = try Folder.list(path) } catch {
      throw HookFolderProblem(message: "the hooks folder can't be read: \(error.answer)")
    }
    return names.filter { $0.hasSuffix(".lua") && !$0.hasPrefix(".") }.map(look)
  }

  private func look(at name: String) -> Look {
    do throws(TrustedPath.Refusal) {
      let file = try TrustedPath.resolve("\(path)/\(name)")
      guard let status = try? FileStatus.of(file) else {
        return Look(file: name, problem: .init(message: "\(name) can't be looked at"))
      }
      return Look(file: name, stamp: status)
    } catch {
      return Look(file: name, problem: HookFolderProblem(error).problem)
    }
  }

  /// The text of a file that was looked at.
  func read(_ name: String) throws(HookFolderProblem) -> String {
    let bytes: [UInt8]
    do throws(SystemError) { bytes = try Folder.readFile("\(path)/\(name)", limit: Self.longestScript) } catch {
      throw HookFolderProblem(message: "\(name) can't be read: \(error.answer)")
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw HookFolderProblem(message: "\(name) is not UTF-8 text")
    }
    return text
  }
}

/// Why the folder, or a file in it, is not used.
struct HookFolderProblem: Error {
  var problem: HookFile.Problem

  init(message: String) { problem = HookFile.Problem(message: message) }

  init(_ refusal: TrustedPath.Refusal) {
    let hint = refusal.hint.map { "; \($0)" } ?? ""
    problem = HookFile.Problem(message: "refused: \(refusal.path) \(refusal.reason)\(hint)")
  }
}
