public import Backupstore
public import StageKit

/// Carries what a store has to tell to the host of a stage.
public struct HostObserver: StoreObserver {
  private let host: any Host

  public init(host: any Host) { self.host = host }

  public var isCancelled: Bool { host.isCancelled }
  public func phase(_ phase: String, _ detail: String?) { host.phase(phase, detail: detail) }
  public func progress(done: UInt64, total: UInt64) { host.progress(done: done, total: total) }

  public func log(_ level: StoreLogLevel, _ message: String) {
    let level: LogLevel =
      switch level {
      case .debug: .debug
      case .info: .info
      case .warning: .warning
      case .error: .error
      }
    host.log(level, message)
  }
}
