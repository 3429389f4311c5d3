import ChildProtocol
import DroverModel
import FoundationEssentials
import LinuxSystem

/// The control socket of an export: a few clients at once, each on a thread of its own. Only the user whom the export runs
/// as, and root, can connect.
final class ControlServer: Sendable {
  private let listener: ListeningSocket
  private let session: ExportSession
  private let log: ExportLog
  private let clients = Monitor(0)

  private static let mostClients = 16
  /// Seconds that a client may be silent.
  private static let patience = 60.0

  init(_ listener: ListeningSocket, _ session: ExportSession, _ log: ExportLog) {
    self.listener = listener
    self.session = session
    self.log = log
  }

  /// Its threads end with the process.
  func start() throws(SystemError) { try SystemThread.start("control") { [self] in run() } }

  private func run() {
    while true {
      do throws(SystemError) {
        guard let client = try listener.accept(waiting: 60) else { continue }
        let stream = StreamSocket(adopting: client)
        _ = clients.wait { $0 < Self.mostClients ? true : nil }
        clients.change { $0 += 1 }
        do throws(SystemError) {
          try SystemThread.start("control client") { [self] in
            converse(stream)
            clients.change { $0 -= 1 }
          }
        } catch {
          clients.change { $0 -= 1 }
        }
      } catch {
        log.write(.error, "the control socket: \(error)")
        return
      }
    }
  }

  private func converse(_ stream: StreamSocket) {
    var rest: [UInt8] = []
    while true {
      let line: [UInt8]
      do throws(SystemError) {
        let next = try stream.readLine(limit: ExportControl.longestRequest, within: Self.patience, rest: &rest)
        guard let next else { return }
        line = next
      } catch {
        return
      }
      let request = ControlRequest.read(line)
      let isSent = send(answer(request), stream)
      if case .success(let request) = request, request.verb == "detach" { session.answered() }
      guard isSent else { return }
    }
  }

  private func send(_ answer: JSONValue, _ stream: StreamSocket) -> Bool {
    guard let bytes = try? JSONEncoder().encode(answer) else { return false }
    return (bytes + [UInt8(ascii: "\n")]).withUnsafeBytes { buffer in
      do throws(SystemError) {
        try stream.write(buffer)
        return true
      } catch { return false }
    }
  }

  private func answer(_ request: Result<ControlRequest, Fault>) -> JSONValue {
    do {
      var members = try carryOut(request.get()).object ?? [:]
      members["ok"] = true
      return .object(members)
    } catch {
      let fault = (error as? Fault) ?? Fault(.internalError, "\(error)")
      let value = try? JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(fault))
      return ["error": value ?? ["code": "internal"]]
    }
  }

  private func carryOut(_ request: ControlRequest) throws -> JSONValue {
    switch request.verb {
    case "info": return try JSONDecoder().decode(JSONValue.self, from: JSONEncoder().encode(session.info))
    case "detach":
      try session.detach(isForced: request.members["force"]?.bool == true)
      return [:]
    default:
      let json = String(decoding: try JSONEncoder().encode(JSONValue.object(request.members)), as: UTF8.self)
      let answer = try session.control(request.verb, json: json)
      guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(answer.utf8)), value.object != nil else {
        throw Fault(.pluginMisbehaved, "the stage answered to \(request.verb) what is no JSON object")
      }
      return value
    }
  }
}
