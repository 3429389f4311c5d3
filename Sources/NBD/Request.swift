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
  static func read(_ header: UnsafeRawBufferPointer, for export: NBDExport, _ agreement: Agreement) -> Reading {
    func number<Number: FixedWidthInteger & BitwiseCopyable>(at place: Int, _ type: Number.Type) -> Number {
      Number(bigEndian: header.loadUnaligned(fromByteOffset: place, as: type))
    }
    guard number(at: 0, UInt32.self) == Wire.requestMagic else { return .nonsense("a request without its magic") }
    let flags = number(at: 4, UInt16.self)
    let type = number(at: 6, UInt16.self)
    let cookie = number(at: 8, UInt64.self)
    let offset = number(at: 16, UInt64.self)
    let length = number(at: 24, UInt32.self)
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
    let isWriting = command == .write || command == .trim || command == .writeZeroes
    if isWriting, !device.isWritable { return .notPermitted }
    var allowed: Wire.CommandFlags = []
    switch command {
    case .read: if agreement.hasStructuredReplies { allowed = .dontFragment }
    case .write, .trim: allowed = .fua
    case .writeZeroes: allowed = [.fua, .noHole, .fastZero]
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
    if command == .read, length > NBDExport.longestRequest { return .invalid }
    if flags.contains(.dontFragment), Int(length) > Answering.pieceLength { return .tooLarge }
    return nil
  }
}
