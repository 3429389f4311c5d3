extension Stage {
  public static var parallel: Bool { false }
  public static var network: Bool { false }
  public static var params: [String: Parameter]? { nil }

  public static func plan(_ request: OpenRequest, below: Plan?, host: any Host) throws -> Plan? { nil }

  public static func open(_ request: OpenRequest, host: any Host) throws -> any Device {
    throw StageError("not-supported", "stage \(name) opens no device")
  }

  public static func run(_ request: OpenRequest, host: any Host) throws {
    throw StageError("not-supported", "stage \(name) is no task")
  }

  public static func discard(_ request: OpenRequest, host: any Host) throws {}
}
