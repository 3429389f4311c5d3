/// One request, checked as far as it can be without its data.
struct Request {
  var command: Wire.Command
  var flags: Wire.CommandFlags
  var cookie: UInt64
  var offset: UInt64
  var length: UInt32

  static let headerLength = 28

  enum Reading {
    case request(Request)
    /// It can be answered so, and the conversation goes on. `payload`: bytes that follow it all the same.
    case refusal(cookie: UInt64, NBDError, isRead: Bool, payload: UInt32)
    /// Nobody can tell where the next request begins.
    case nonsense(String)
  }

  /// `header` has 28 bytes.
  static func read(_ header: [UInt8], for export: NBDExport, _ agreement: Agreement) -> Reading {
    var reader = WireReader(header)
    guard reader.number(UInt32.self) == Wire.requestMagic, let flags = reader.number(UInt16.self),
      let type = reader.number(UInt16.self), let cookie = reader.number(UInt64.self),
      let offset = reader.number(UInt64.self), let length = reader.number(UInt32.self)
    else { return .nonsense("a request without its magic") }
    guard let command = Wire.Command(rawValue: type) else {
      return .refusal(cookie: cookie, .invalid, isRead: false, payload: 0)
    }
    let request = Request(
      command: command, flags: Wire.CommandFlags(rawValue: flags), cookie: cookie, offset: offset, length: length)
    let payload = command == .write ? length : 0
    guard payload <= NBDExport.longestRequest else { return .nonsense("a write of \(length) bytes") }
    if let error = request.problem(export, agreement) {
      return .refusal(cookie: cookie, error, isRead: command == .read || command == .blockStatus, payload: payload)
    }
    return .request(request)
  }

  private func problem(_ export: NBDExport, _ agreement: Agreement) -> NBDError? {
    let device = export.device
    let isWriting = [.write, .trim, .writeZeroes].contains(command)
    if isWriting, !device.isWritable { return .notPermitted }
    var allowed: Wire.CommandFlags = []
    switch command {
    case .read: if agreement.hasStructuredReplies { allowed = .dontFragment }
    case .write, .trim: allowed = .fua
    case .writeZeroes: allowed = [.fua, .noHole]
    case .blockStatus:
      guard agreement.tellsAllocation else { return .invalid }
      allowed = .requestOne
    case .disconnect, .flush, .cache: break
    }
    // FUA means nothing where nothing is written, and clients send it there, too.
    guard flags.subtracting(.fua).isSubset(of: allowed) else { return .invalid }
    if command == .disconnect || command == .flush { return nil }
    guard length > 0 else { return .invalid }
    guard offset <= device.size, UInt64(length) <= device.size - offset else {
      return isWriting && command != .trim ? .noSpace : .invalid
    }
    if command == .read, length > NBDExport.longestRequest { return .tooLarge }
    if flags.contains(.dontFragment), Int(length) > Answering.pieceLength { return .tooLarge }
    return nil
  }
}
