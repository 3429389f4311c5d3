import DroverModel
import Glibc
import LinuxSystem

/// `path` as seen from the working folder.
func absolutePath(_ path: String) -> String {
  guard !path.hasPrefix("/") else { return path }
  guard let folder = getcwd(nil, 0) else { return path }
  defer { free(folder) }
  return "\(String(cString: folder))/\(path)"
}

/// All of a file, or of standard input for `-`; at most `limit` bytes.
func readInput(_ path: String, limit: Int) throws(Fault) -> [UInt8] {
  do {
    guard path == "-" else { return try Folder.readFile(path, limit: limit) }
    return try readStandardInput(limit: limit)
  } catch let error as SystemError {
    throw Fault(
      error.errno == ENOENT ? .notFound : .io, "reading \(path): \(String(cString: strerror(error.errno)))",
      retry: .never)
  } catch let fault as Fault {
    throw fault
  } catch {
    throw Fault(.io, "reading \(path): \(error)", retry: .never)
  }
}

private func readStandardInput(limit: Int) throws -> [UInt8] {
  var bytes: [UInt8] = []
  var buffer = [UInt8](repeating: 0, count: 65536)
  while true {
    let count = read(STDIN_FILENO, &buffer, buffer.count)
    if count < 0 {
      if errno == EINTR { continue }
      throw Fault(.io, "reading standard input: \(String(cString: strerror(errno)))", retry: .never)
    }
    guard count > 0 else { return bytes }
    bytes += buffer[..<count]
    guard bytes.count <= limit else { throw Fault(.invalid, "standard input has more than \(limit) bytes") }
  }
}

extension DefaultPaths {
  /// What lies beside this program's own file, for what it starts itself.
  static let besideThisProgram: DefaultPaths = {
    let own = realpath("/proc/self/exe", nil)
    defer { free(own) }
    return DefaultPaths(
      userID: geteuid(), environment: [:], executable: own.map { String(cString: $0) } ?? "/usr/bin/drover",
      exists: { access($0, F_OK) == 0 })
  }()

  static let ofThisProcess: DefaultPaths = {
    var environment: [String: String] = [:]
    for name in ["HOME", "DROVER_STATE", "DROVER_SOCKET", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"] {
      if let value = getenv(name) { environment[name] = String(cString: value) }
    }
    // Only the socket is asked for here, and that does not depend on where the program lies.
    return DefaultPaths(
      userID: geteuid(), environment: environment, executable: "/usr/bin/drover", exists: { _ in false })
  }()
}
