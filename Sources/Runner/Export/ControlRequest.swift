import ChildProtocol
import DroverModel
import FoundationEssentials

/// One line that arrived at a control socket, checked.
struct ControlRequest {
  var verb: String
  /// Without version and verb.
  var members: [String: JSONValue]

  /// - Returns: Fault `invalid`, or `not-supported` where a newer Drover asks.
  static func read(_ line: [UInt8]) -> Result<ControlRequest, Fault> {
    guard let value = try? JSONDecoder().decode(JSONValue.self, from: Data(line)), var members = value.object else {
      return .failure(Fault(.invalid, "a request is one JSON object on a line"))
    }
    guard let version = members.removeValue(forKey: "version")?.int, version >= 1 else {
      return .failure(Fault(.invalid, "the request has no version; this export knows \(ExportControl.version)"))
    }
    guard version <= ExportControl.version else {
      return .failure(
        Fault(
          .notSupported,
          "this export was started by Drover \(DroverVersion.current) and knows version \(ExportControl.version) "
            + "of the conversation, not \(version)",
          hint: "detach the volume and attach it again, so that it is served by the Drover that is installed now"))
    }
    guard let verb = members.removeValue(forKey: "verb")?.string, !verb.isEmpty else {
      return .failure(Fault(.invalid, "the request has no verb"))
    }
    return .success(ControlRequest(verb: verb, members: members))
  }
}
