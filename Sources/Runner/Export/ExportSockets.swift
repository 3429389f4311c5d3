import ChildProtocol
import DroverModel
import LinuxSystem

/// The two sockets of an export. Made, and removed, while its lock is held: whatever lies there before is of an export that
/// died.
struct ExportSockets {
  let nbd: ListeningSocket
  let control: ListeningSocket
  private let order: ExportOrder

  init(_ order: ExportOrder) throws {
    self.order = order
    control = try Self.bind(order.controlSocket)
    nbd = try Self.bind(order.socket)
    do throws(SystemError) {
      if order.permissions != 0o600 || order.group != nil {
        try SocketFile.setAccess(order.socket, permissions: order.permissions, group: order.group)
      }
    } catch {
      throw Fault(system: error)
    }
  }

  private static func bind(_ path: String) throws(Fault) -> ListeningSocket {
    do throws(SystemError) {
      try Folder.create(Folder.parent(of: path), permissions: 0o755)
      return try ListeningSocket.bind(path, permissions: 0o600)
    } catch {
      switch error.errno {
      case 36:  // ENAMETOOLONG
        throw Fault(
          .invalid, "the path of a socket has at most \(SocketFile.longestPath) bytes: \(path)",
          hint: "choose a shorter runtime folder")
      case 98:  // EADDRINUSE
        throw Fault(.inUse, "\(path) is there already, and is no socket of an export that has ended")
      default: throw Fault(system: error)
      }
    }
  }

  func remove() {
    for path in [order.socket, order.controlSocket] { try? Folder.remove(file: path) }
  }
}
