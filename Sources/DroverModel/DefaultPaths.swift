/// Where things are when neither a flag nor a variable nor the configuration says: the same for all programs.
///
/// Root has system paths, everybody else the XDG ones. Programs, plugins and hooks are found from the running program's
/// own place: in a build folder, or below the prefix they were installed to.
public struct DefaultPaths: Sendable, Hashable {
  /// Holds catalog, images and the embedded store.
  public var stateFolder: String
  public var socket: String
  /// GET only.
  public var readOnlySocket: String
  /// Read if it is there.
  public var configurationFile: String
  public var pluginFolders: [String]
  /// Nil where there is none.
  public var hooksFolder: String?
  /// `drover-worker`.
  public var workerPath: String
  /// `drover-policy`, which lies beside the worker.
  public var policyPath: String { "\(Self.folder(of: workerPath))/drover-policy" }
  /// `drover-export`, which lies there, too.
  public var exportPath: String { "\(Self.folder(of: workerPath))/drover-export" }

  /// - Parameters:
  ///   - userID: the effective one.
  ///   - environment: the process's; `DROVER_STATE`, `DROVER_SOCKET`, `DROVER_HOOKS`, `DROVER_PLUGINS` (folders
  ///     separated by colons), `HOME` and the XDG variables are looked at.
  ///   - executable: the running program's file, absolute, symbolic links resolved.
  ///   - exists: whether a path is there.
  public init(userID: UInt32, environment: [String: String], executable: String, exists: (String) -> Bool) {
    func variable(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    func absolute(_ name: String) -> String? { variable(name).flatMap { $0.hasPrefix("/") ? $0 : nil } }
    let home = absolute("HOME") ?? "/"
    let isRoot = userID == 0

    let state = isRoot ? "/var/lib/drover" : "\(absolute("XDG_STATE_HOME") ?? "\(home)/.local/state")/drover"
    stateFolder = variable("DROVER_STATE") ?? state
    let runtime = isRoot ? "/run/drover" : absolute("XDG_RUNTIME_DIR").map { "\($0)/drover" } ?? "\(stateFolder)/run"
    socket = variable("DROVER_SOCKET") ?? "\(runtime)/drover.sock"
    readOnlySocket = Self.readOnlySocket(beside: socket)
    let configuration = isRoot ? "/etc/drover" : "\(absolute("XDG_CONFIG_HOME") ?? "\(home)/.config")/drover"
    configurationFile = "\(configuration)/drover.yaml"

    let folder = Self.folder(of: executable)
    let prefix = Self.folder(of: folder)
    pluginFolders = [
      exists("\(folder)/libdrover-stage-clone.so") ? folder : "\(prefix)/lib/drover/plugins"
    ]
    if let folders = variable("DROVER_PLUGINS") { pluginFolders = folders.split(separator: ":").map(String.init) }
    let beside = "\(folder)/drover-worker"
    workerPath = exists(beside) ? beside : "\(prefix)/libexec/drover/drover-worker"

    let candidates = [
      "\(configuration)/hooks", Self.repositoryHooks(above: folder, exists), "\(prefix)/share/drover/hooks",
    ]
    hooksFolder = variable("DROVER_HOOKS") ?? candidates.compactMap(\.self).first(where: exists)
  }

  /// `drover.sock` becomes `drover-ro.sock`; any other name gets `-ro` before its ending, or at its end.
  public static func readOnlySocket(beside socket: String) -> String {
    let name = socket.split(separator: "/", omittingEmptySubsequences: false).last ?? ""
    guard let dot = name.lastIndex(of: "."), dot != name.startIndex else { return socket + "-ro" }
    return "\(socket.dropLast(name.count))\(name[..<dot])-ro\(name[dot...])"
  }

  /// `hooks` beside the `Package.swift` of the repository that the program was built in.
  private static func repositoryHooks(above folder: String, _ exists: (String) -> Bool) -> String? {
    var folder = folder
    while folder != "/", !folder.isEmpty {
      if exists("\(folder)/Package.swift") { return "\(folder)/hooks" }
      folder = Self.folder(of: folder)
    }
    return nil
  }

  private static func folder(of path: String) -> String {
    guard let slash = path.lastIndex(of: "/"), slash != path.startIndex else { return "/" }
    return String(path[..<slash])
  }
}
