import ChildProtocol
import DroverModel
import Glibc
import LinuxSystem

/// The channel to whoever started the export: the order, and then whether its end ends the export.
final class ExportStart: Sendable {
  private let channel: FrameChannel
  private let isServing = Monitor(false)

  init(_ channel: FrameChannel) { self.channel = channel }

  /// Says hello and reads the secrets and the order. Nil: the channel ended before.
  func order() throws -> (order: ExportOrder, secrets: [SecretBytes])? {
    try channel.send(ExportReport.hello(version: DroverVersion.current, pid: getpid()))
    var secrets: [SecretBytes] = []
    while let frame = try channel.receive() {
      switch frame {
      case .secret(let secret): secrets.append(secret)
      case .message(let bytes): return (try FrameChannel.decode(ExportOrder.self, bytes), secrets)
      }
    }
    return nil
  }

  /// Watches, on a thread of its own, for the end of the channel: before `serving` was said, `end` is called at once.
  func watch(end: @escaping @Sendable () -> Void) throws(SystemError) {
    try SystemThread.start("channel") { [self] in
      while (try? channel.receive()) != nil {}
      if !isServing.withLock({ $0 }) { end() }
    }
  }

  /// From now on the end of the channel means nothing.
  /// - Throws: Fault `io` where nobody was there to hear it.
  func serve(_ info: ExportInfo) throws {
    try isServing.change { isServing in
      try channel.send(ExportReport.serving(info))
      isServing = true
    }
  }

  func fail(_ fault: Fault) { try? channel.send(ExportReport.failed(fault)) }
}
