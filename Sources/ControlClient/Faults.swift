import Curl
import DroverModel
import Glibc

extension ControlClient {
  func fault(_ error: CurlError, _ request: Request) -> Fault {
    let what = called(request)
    switch error.code {
    case .cancelled: return Fault(.cancelled, "\(what) was cancelled")
    case .timedOut:
      return Fault(
        .daemonUnreachable, "the daemon behind \(socket) takes no connection",
        hint: "its log says what it is busy with; if it hangs, restart it")
    case .stalled:
      return Fault(
        .timedOut, "the daemon did not answer \(what) within \(Int(request.stallSeconds ?? 0)) s",
        hint: "`drover status` tells whether it still works; its log says what it waits for")
    case .bodySource: return Fault(.io, "reading what is to be sent: \(error.message)", retry: .never)
    case .bodyTooLong, .headTooLong: return Fault(.internalError, "the daemon's answer to \(what): \(error.message)")
    case .notConnected where error.systemError == EACCES || error.systemError == EPERM:
      return Fault(
        .notPermitted, "the socket \(socket) may not be used by this user",
        hint: "ask for membership in its group (groups.write or groups.read in the daemon's configuration)")
    case .notConnected, .hostNotResolved, .badAddress:
      let reason = error.systemError == 0 ? error.message : String(cString: strerror(error.systemError))
      return Fault(
        .daemonUnreachable, "no daemon answers on \(socket): \(reason)",
        hint: "start it with `droverd serve`, or name its socket with --socket or DROVER_SOCKET")
    default:
      return Fault(
        .daemonUnreachable, "the connection to the daemon broke during \(what): \(error)",
        hint: "its log says why; jobs that it had accepted go on when it runs again")
    }
  }
}
