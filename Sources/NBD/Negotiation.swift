import LinuxSystem

/// What was agreed on before the first request.
struct Agreement {
  var hasStructuredReplies = false
  var tellsAllocation = false
}

/// The fixed newstyle negotiation with one client, up to the choice of the export.
struct Negotiation {
  let socket: ClientSocket
  let export: NBDExport
  private var agreement = Agreement()
  private var flags: Wire.HandshakeFlags = []
  /// Boot time by which it must be over.
  private let end = BootClock.seconds() + Self.mostSeconds

  private static let mostSeconds = 60.0
  private static let patience = 10.0
  /// Longest data of an option; all that there are need far less.
  private static let mostData = 65536
  private static let mostOptions = 1000

  init(_ socket: ClientSocket, _ export: NBDExport) {
    self.socket = socket
    self.export = export
  }

  /// Nil: the client wanted no more than this.
  mutating func run() throws(Parting) -> Agreement? {
    var hello = WireBytes()
    hello.put(Wire.passwordMagic)
    hello.put(Wire.optionMagic)
    hello.put(UInt16((Wire.HandshakeFlags.fixedNewstyle.union(.noZeroes)).rawValue))
    try socket.write(hello)
    guard let clientFlags = try read(4) else { return nil }
    var reader = WireReader(clientFlags)
    flags = Wire.HandshakeFlags(rawValue: reader.number(UInt32.self) ?? 0)
    guard flags.isSubset(of: [.fixedNewstyle, .noZeroes]) else { throw .nonsense("flags \(flags.rawValue)") }
    for _ in 1...Self.mostOptions {
      guard BootClock.seconds() < end else { throw .silent }
      guard let (option, data) = try readOption() else { return nil }
      if let isChosen = try answer(option, data) { return isChosen ? agreement : nil }
    }
    throw .nonsense("more than \(Self.mostOptions) options")
  }

  private func read(_ count: Int) throws(Parting) -> [UInt8]? {
    var bytes = [UInt8](repeating: 0, count: count)
    let result = bytes.withUnsafeMutableBytes { buffer in
      Result { () throws(Parting) in try socket.read(into: buffer, idle: Self.patience, patience: Self.patience) }
    }
    return try result.get() ? bytes : nil
  }

  private func readOption() throws(Parting) -> (number: UInt32, data: [UInt8])? {
    guard let header = try read(16) else { return nil }
    var reader = WireReader(header)
    guard reader.number(UInt64.self) == Wire.optionMagic, let number = reader.number(UInt32.self),
      let length = reader.number(UInt32.self)
    else { throw .nonsense("an option without its magic") }
    guard length <= Self.mostData else { throw .nonsense("an option of \(length) bytes") }
    guard length > 0 else { return (number, []) }
    guard let data = try read(Int(length)) else { throw .gone }
    return (number, data)
  }

  /// True: transmission begins; false: the conversation is over; nil: the next option comes.
  private mutating func answer(_ number: UInt32, _ data: [UInt8]) throws(Parting) -> Bool? {
    switch Wire.Option(rawValue: number) {
    case .exportName:
      guard String(validating: data, as: UTF8.self).map(export.hasName) == true else { return false }
      var reply = WireBytes()
      reply.put(export.device.size)
      reply.put(export.flags(agreement).rawValue)
      if !flags.contains(.noZeroes) { reply.put([UInt8](repeating: 0, count: 124)) }
      try socket.write(reply)
      return true
    case .abort:
      try reply(number, .ack)
      return false
    case .list:
      guard data.isEmpty else { return try refuse(number, .invalid, "LIST has no data") }
      var server = WireBytes()
      server.put(UInt32(export.name.utf8.count))
      server.put(export.name.utf8)
      try reply(number, .server, server)
      try reply(number, .ack)
    case .info, .go: return try describe(number, data)
    case .structuredReply:
      guard data.isEmpty else { return try refuse(number, .invalid, "STRUCTURED_REPLY has no data") }
      agreement.hasStructuredReplies = true
      try reply(number, .ack)
    case .listMetaContext, .setMetaContext: try answerContexts(number, data)
    case .startTLS: return try refuse(number, .policy, "this socket is not encrypted; its permissions protect it")
    case .peekExport, nil: return try refuse(number, .unsupported, "option \(number) is not known")
    }
    return nil
  }

  private func describe(_ number: UInt32, _ data: [UInt8]) throws(Parting) -> Bool? {
    var reader = WireReader(data)
    guard let name = reader.countedText(), let count = reader.number(UInt16.self) else {
      return try refuse(number, .invalid, "its data is cut off")
    }
    var wanted: Set<UInt16> = []
    for _ in 0..<count {
      guard let info = reader.number(UInt16.self) else { return try refuse(number, .invalid, "its data is cut off") }
      wanted.insert(info)
    }
    guard reader.isAtEnd else { return try refuse(number, .invalid, "its data is too long") }
    guard export.hasName(name) else { return try refuse(number, .unknown, "there is no such export") }
    try info(number, .export) {
      $0.put(export.device.size)
      $0.put(export.flags(agreement).rawValue)
    }
    try info(number, .blockSize) {
      $0.put(UInt32(1))
      $0.put(export.device.preferredBlock)
      $0.put(NBDExport.longestRequest)
    }
    if wanted.contains(Wire.Info.name.rawValue) { try info(number, .name) { $0.put(export.name.utf8) } }
    if wanted.contains(Wire.Info.description.rawValue), !export.description.isEmpty {
      try info(number, .description) { $0.put(export.description.utf8) }
    }
    try reply(number, .ack)
    return number == Wire.Option.go.rawValue ? true : nil
  }

  private func info(_ number: UInt32, _ kind: Wire.Info, _ fill: (inout WireBytes) -> Void) throws(Parting) {
    var info = WireBytes()
    info.put(kind.rawValue)
    fill(&info)
    try reply(number, .info, info)
  }

  private mutating func answerContexts(_ number: UInt32, _ data: [UInt8]) throws(Parting) {
    let isSetting = number == Wire.Option.setMetaContext.rawValue
    func refuse(_ reply: Wire.OptionReply, _ why: String) throws(Parting) { _ = try self.refuse(number, reply, why) }
    var reader = WireReader(data)
    guard let name = reader.countedText(), let count = reader.number(UInt32.self) else {
      return try refuse(.invalid, "its data is cut off")
    }
    var queries: [String] = []
    // More queries than bytes can't be there, whatever `count` says.
    while queries.count < Int(count), let query = reader.countedText() { queries.append(query) }
    guard queries.count == Int(count), reader.isAtEnd else { return try refuse(.invalid, "its queries are cut off") }
    guard export.hasName(name) else { return try refuse(.unknown, "there is no such export") }
    guard !isSetting || agreement.hasStructuredReplies else {
      return try refuse(.invalid, "SET_META_CONTEXT comes after STRUCTURED_REPLY")
    }
    let isMeant =
      queries.contains(Wire.allocationContext) || (!isSetting && (queries.isEmpty || queries.contains("base:")))
    if isSetting { agreement.tellsAllocation = isMeant }
    if isMeant {
      var context = WireBytes()
      context.put(Wire.allocationContextID)
      context.put(Wire.allocationContext.utf8)
      try reply(number, .metaContext, context)
    }
    try reply(number, .ack)
  }

  private func refuse(_ number: UInt32, _ kind: Wire.OptionReply, _ why: String) throws(Parting) -> Bool? {
    var text = WireBytes()
    text.put(why.utf8)
    try reply(number, kind, text)
    return nil
  }

  private func reply(_ number: UInt32, _ kind: Wire.OptionReply, _ data: WireBytes = WireBytes()) throws(Parting) {
    var reply = WireBytes()
    reply.put(Wire.optionReplyMagic)
    reply.put(number)
    reply.put(kind.rawValue)
    reply.put(UInt32(data.bytes.count))
    reply.put(data.bytes)
    try socket.write(reply)
  }
}
