import ArgumentParser
import ControlServer
import DroverModel
import Engine
import Glibc
import LinuxSystem
import Logging
import ServiceLifecycle
import UnixSignals

struct ServeCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "serve", abstract: "Run the daemon in the foreground until SIGTERM.")

  @Option(help: "Folder of everything it keeps. Also DROVER_STATE.") var state: String?
  @Option(help: "Where to listen; the read-only socket lies beside it. Also DROVER_SOCKET.") var socket: String?
  @Option(help: "Folder of policy hooks. Also DROVER_HOOKS.") var hooks: String?
  @Option(help: "Folder of plugins; may be given more than once. Also DROVER_PLUGINS.") var plugins: [String] = []
  @Option(help: "Configuration file.") var config: String?
  @Option(help: "Least severity that is logged.") var logLevel = LogLevelName.info

  func run() async throws {
    var resolved = try Settings.resolve(
      Settings.Flags(state: state, socket: socket, hooks: hooks, plugins: plugins, config: config), process: .own)
    let descriptors = try DescriptorLimit.raise()
    resolved.server.limits = ServerLimits(descriptors: descriptors, jobs: resolved.engine.maxJobs)
    let settings = resolved
    LoggingSystem.bootstrap(StreamLogHandler.standardError)
    let logger = Logger(label: "droverd", level: logLevel.level)
    logger.info("starting", metadata: settings.metadata)
    // What it makes may be read by others only where the code says so.
    umask(umask(0) | 0o022)

    let manager = ServiceManager(socketName: settings.notifySocket)
    let engine = try await Engine(configuration: settings.engine, logger: logger)
    let server = try ControlServer(engine: engine, configuration: settings.server, logger: logger) {
      tell(manager, "READY=1\nSTATUS=serving at \(settings.server.socketPath)", logger)
    }
    var group = ServiceGroupConfiguration(
      services: [EngineService(engine: engine), server, StopNotice { tell(manager, "STOPPING=1", logger) }],
      gracefulShutdownSignals: [.sigterm, .sigint, .sighup], logger: logger)
    group.maximumGracefulShutdownDuration = .seconds(settings.stopSeconds)
    group.maximumCancellationDuration = .seconds(settings.engine.shutdownSeconds + 10)
    try await ServiceGroup(configuration: group).run()
    logger.info("stopped")
  }
}

/// The names of swift-log's levels.
enum LogLevelName: String, ExpressibleByArgument, CaseIterable {
  case trace, debug, info, notice, warning, error, critical

  var level: Logger.Level { Logger.Level(rawValue: rawValue)! }
}

extension Logger {
  fileprivate init(label: String, level: Logger.Level) {
    self.init(label: label)
    logLevel = level
  }
}

private func tell(_ manager: ServiceManager?, _ state: String, _ logger: Logger) {
  do {
    try manager?.notify(state)
  } catch {
    let first = state.prefix { $0 != "\n" }
    logger.warning("the service manager could not be told", metadata: ["state": "\(first)", "error": "\(error)"])
  }
}
