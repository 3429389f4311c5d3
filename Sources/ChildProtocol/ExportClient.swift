public import DroverModel
import FoundationEssentials
import Glibc
import LinuxSystem

/// Talks to a running export by its control socket. Each call makes a connection of its own, and blocks.
///
/// Errors are Faults: `not-found` where no export listens there, `timed-out` (transient) where it does not answer in time,
/// or what the export answered.
public struct ExportClient: Sendable {
  private let socket: String
  private let patience: Double

  /// - Parameters:
  ///   - socket: Path of the control socket.
  ///   - patience: Seconds that connecting, and the answer to `info`, may take.
  public init(_ socket: String, patience: Double = 10) {
    self.socket = socket
    self.patience = patience
  }

  public func info() throws -> ExportInfo {
    let answer = try command("info", within: patience)
    do { return try JSONDecoder().decode(ExportInfo.self, from: JSONEncoder().encode(answer)) } catch {
      throw Fault(.internalError, "the export at \(socket) answered to info what is none: \(error)")
    }
  }

  /// Flushes, closes, and ends the export, whether clients are connected or not. When it returns, another one may be started.
  /// - Parameter isForced: Also where what was written can't be flushed.
  public func detach(isForced: Bool = false, within seconds: Double = 600) throws {
    _ = try command("detach", isForced ? ["force": true] : [:], within: seconds)
  }

  /// Any verb; those that the export does not know itself reach the stage.
  /// - Parameters:
  ///   - members: Of the request, beside version and verb.
  ///   - seconds: A merge may take long.
  /// - Returns: The answer, without `ok`.
  public func command(
    _ verb: String, _ members: [String: JSONValue] = [:], within seconds: Double
  ) throws -> JSONValue {
    var request = members
    request["version"] = .int(ExportControl.version)
    request["verb"] = .string(verb)
    let line = try JSONEncoder().encode(JSONValue.object(request)) + [UInt8(ascii: "\n")]
    let answer: [UInt8]?
    do throws(SystemError) {
      let stream = try StreamSocket.connect(socket, within: patience)
      let failure: SystemError? = line.withUnsafeBytes { bytes in
        do throws(SystemError) { try stream.write(bytes) } catch { return error }
        return nil
      }
      if let failure { throw failure }
      var rest: [UInt8] = []
      answer = try stream.readLine(limit: ExportControl.longestAnswer, within: seconds, rest: &rest)
    } catch {
      throw fault(error, verb)
    }
    guard let answer else { throw gone(verb) }
    guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(answer)), var object = value.object else {
      throw Fault(.internalError, "the export at \(socket) answered to \(verb) what is no JSON object")
    }
    if let error = object["error"] {
      if let fault = try? JSONDecoder().decode(Fault.self, from: JSONEncoder().encode(error)) { throw fault }
      throw Fault(.internalError, "the export at \(socket) refused \(verb) without a reason that can be read")
    }
    object["ok"] = nil
    return .object(object)
  }

  private func gone(_ verb: String) -> Fault {
    Fault(.io, "the export at \(socket) ended before it answered \(verb)", hint: "its log says why")
  }

  private func fault(_ error: SystemError, _ verb: String) -> Fault {
    switch error.errno {
    case ENOENT, ECONNREFUSED, ENOTSOCK, ENOTDIR: Fault(.notFound, "no export listens at \(socket)")
    case ETIMEDOUT, EAGAIN:
      Fault(
        .timedOut, "the export at \(socket) has not answered \(verb) in time",
        hint: "it may be busy or hang; its log says more", retry: .transient)
    case ECONNRESET, EPIPE: gone(verb)
    case EACCES, EPERM: Fault(.notPermitted, "could not ask the export for \(verb): \(error)")
    default: Fault(.io, "could not ask the export for \(verb): \(error)")
    }
  }
}
