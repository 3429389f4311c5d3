import ControlServer
import DroverModel
import Engine
import FoundationEssentials
import Glibc
import LinuxSystem
import Logging
import Manifests

/// Everything that flags, variables, the configuration file and the defaults say, in this order of precedence, as one
/// value that is complete before anything starts.
struct Settings: Sendable {
  var engine: EngineConfiguration
  var server: ControlServer.Configuration
  /// Nil where no service manager wants to be told.
  var notifySocket: String?
  /// The file that was read; nil where there is none.
  var configurationFile: String?

  /// The API's drain and the workers' last checkpoint, with some to spare.
  var stopSeconds: Double { server.limits.drainSeconds + engine.shutdownSeconds + 5 }

  var metadata: Logger.Metadata {
    [
      "version": "\(DroverVersion.current)", "state": "\(engine.stateFolder)", "socket": "\(server.socketPath)",
      "worker": "\(engine.workerPath)", "plugins": "\(engine.pluginFolders.joined(separator: ":"))",
      "hooks": "\(engine.hooksFolder ?? "none")",
      "configuration": "\(configurationFile ?? "none")",
    ]
  }

  /// What the command line gave; nil and empty where it said nothing.
  struct Flags: Sendable {
    var state: String?
    var socket: String?
    var hooks: String?
    var plugins: [String] = []
    var config: String?
  }

  static func resolve(_ flags: Flags, process: ProcessFacts) throws -> Settings {
    let paths = DefaultPaths(
      userID: process.userID, environment: process.environment, executable: process.executable,
      exists: { (try? FileStatus.of($0)) != nil })
    let (configuration, file) = try read(flags.config.map(process.absolute), otherwise: paths.configurationFile)

    func isSet(_ variable: String) -> Bool { process.environment[variable].map { !$0.isEmpty } ?? false }
    var plugins = paths.pluginFolders
    if !flags.plugins.isEmpty {
      plugins = flags.plugins
    } else if !isSet("DROVER_PLUGINS"), let configured = configuration.pluginFolders {
      plugins = configured
    }
    plugins = plugins.map(process.absolute)
    var hooks = paths.hooksFolder
    if let flag = flags.hooks {
      hooks = flag
    } else if !isSet("DROVER_HOOKS"), let configured = configuration.hooksFolder {
      hooks = configured
    }
    hooks = hooks.map(process.absolute)

    let socket = process.absolute(flags.socket ?? paths.socket)
    let effective = configuration.effective(cores: process.cores, pluginFolders: plugins, hooksFolder: hooks)
    return Settings(
      engine: EngineConfiguration(
        stateFolder: process.absolute(flags.state ?? paths.stateFolder), hooksFolder: hooks, pluginFolders: plugins,
        workerPath: paths.workerPath, policyPath: paths.policyPath,
        policyInstructions: configuration.policyInstructions, policyMemoryBytes: configuration.policyMemoryBytes,
        policyDeadlineMilliseconds: configuration.policyDeadlineMilliseconds,
        maxJobs: configuration.maxJobs(cores: process.cores),
        maxJobsPerTarget: configuration.maxJobsPerTarget, concurrency: configuration.concurrency(cores: process.cores),
        attempts: configuration.attempts, backoffMaxSeconds: configuration.backoffMaxSeconds,
        stallSeconds: configuration.stallSeconds, hangSeconds: configuration.hangSeconds,
        reserveBytes: configuration.reserveBytes, verifyEveryDays: configuration.verifyEveryDays,
        environment: process.environment),
      server: ControlServer.Configuration(
        socketPath: socket, readOnlySocketPath: DefaultPaths.readOnlySocket(beside: socket),
        writeGroup: configuration.writeGroup, readGroup: configuration.readGroup, effective: effective),
      notifySocket: process.environment["NOTIFY_SOCKET"], configurationFile: file)
  }

  /// A file that was named must be there; the default one need not.
  private static func read(_ named: String?, otherwise: String) throws -> (Configuration, String?) {
    let path = named ?? otherwise
    do {
      guard try named != nil || FileStatus.of(path) != nil else { return (Configuration(), nil) }
      let bytes = try Folder.readFile(path, limit: 1 << 20)
      do { return (try ConfigurationFile.read(bytes, name: path), path) } catch {
        throw InvalidConfiguration(fault: error)
      }
    } catch let error as SystemError {
      throw Fault(error.isAbsent ? .notFound : .io, "can't read the configuration: \(error)", retry: .never)
    }
  }
}

/// A configuration that can't be used: whatever its fault's code, the program ends as with a wrong usage.
struct InvalidConfiguration: Error {
  var fault: Fault
}

/// What the settings depend on beside flags and files.
struct ProcessFacts: Sendable {
  var userID: UInt32
  var environment: [String: String]
  /// The program's file, symbolic links resolved.
  var executable: String
  var cores: Int
  var workingFolder: String

  static var own: ProcessFacts {
    ProcessFacts(
      userID: geteuid(), environment: ProcessInfo.processInfo.environment,
      executable: (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? "/usr/bin/droverd",
      cores: max(1, sysconf(Int32(_SC_NPROCESSORS_ONLN))),
      workingFolder: FileManager.default.currentDirectoryPath)
  }

  func absolute(_ path: String) -> String { path.hasPrefix("/") ? path : "\(workingFolder)/\(path)" }
}
