/// Answers requests of one client, from several threads at once, each with a buffer of its own.
struct Answering {
  let socket: ClientSocket
  let device: any NBDDevice
  let agreement: Agreement

  /// What is read and sent at once.
  static let pieceLength = 1 << 20
  private static let shortRead: UInt32 = 64 << 10
  /// Descriptors of one answer.
  private static let mostDescriptors = 1024

  /// A request other than `write` and `disconnect`.
  /// - Parameter buffer: Of `pieceLength` bytes.
  func answer(_ request: Request, _ buffer: UnsafeMutableRawBufferPointer) throws(Parting) {
    do {
      switch request.command {
      case .read:
        return try agreement.hasStructuredReplies ? readInChunks(request, buffer) : readPlainly(request, buffer)
      case .blockStatus: return try tellStatus(request)
      case .flush: try device.flush()
      case .trim: try device.trim(offset: request.offset, length: UInt64(request.length))
      case .cache: try device.cache(offset: request.offset, length: UInt64(request.length))
      case .writeZeroes: try zero(request)
      case .write, .disconnect: throw NBDError.invalid
      }
    } catch let parting as Parting {
      throw parting
    } catch {
      return try fail(request.cookie, NBDError(error), isRead: request.command == .read)
    }
    try end(request, nil)
  }

  /// A write whose data is there.
  func write(_ request: Request, _ data: UnsafeRawBufferPointer) throws(Parting) {
    var failure: NBDError?
    do { try device.write(data, at: request.offset) } catch { failure = NBDError(error) }
    try end(request, failure)
  }

  /// What changes something is done, but for the flush that may be asked for with it.
  func end(_ request: Request, _ failure: NBDError?) throws(Parting) {
    var failure = failure
    if failure == nil, request.flags.contains(.fua), device.isWritable {
      do { try device.flush() } catch { failure = NBDError(error) }
    }
    try tellSimply(request.cookie, failure?.rawValue ?? 0)
  }

  /// A client that wants it fast, or not at all, gets it where there is nothing to do: whether a device can make zeros
  /// of data faster than by writing them, nobody can promise.
  private func zero(_ request: Request) throws {
    let length = UInt64(request.length)
    let keepsSpace = request.flags.contains(.noHole)
    if request.flags.contains(.fastZero) {
      guard !keepsSpace, try isHole(request.offset, length) else { throw NBDError.notSupported }
      return
    }
    try device.zero(offset: request.offset, length: length, keepingSpace: keepsSpace)
  }

  private func isHole(_ offset: UInt64, _ length: UInt64) throws -> Bool {
    var at = offset
    // A device that answers in many small steps is not fast.
    for _ in 1...16 {
      for extent in try device.extents(offset: at, length: offset + length - at) {
        guard extent.isHole, extent.offset == at, extent.length > 0 else { return false }
        at += extent.length
        if at >= offset + length { return true }
      }
    }
    return false
  }

  /// - Parameter isRead: Reads, and questions for the status, are answered in chunks where that was agreed on.
  func fail(_ cookie: UInt64, _ error: NBDError, isRead: Bool) throws(Parting) {
    guard isRead, agreement.hasStructuredReplies else { return try tellSimply(cookie, error.rawValue) }
    var chunk = ReplyBytes(chunk: .error, cookie, length: 6, isLast: true)
    chunk.put(error.rawValue)
    chunk.put(UInt16(0))
    try write(chunk)
  }

  private func tellSimply(_ cookie: UInt64, _ error: UInt32) throws(Parting) {
    try write(ReplyBytes(simple: cookie, error))
  }

  private func write(
    _ reply: ReplyBytes, _ data: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
  ) throws(Parting) {
    let result = reply.withBytes { bytes in Result { () throws(Parting) in try socket.write(bytes, data) } }
    try result.get()
  }

  // MARK: - Reading

  /// The header says that all is well before the second piece is read: where that fails, the client is left.
  private func readPlainly(_ request: Request, _ buffer: UnsafeMutableRawBufferPointer) throws {
    let first = piece(request, 0, buffer)
    try device.read(into: first, at: request.offset)
    let header = ReplyBytes(simple: request.cookie, 0)
    guard first.count < Int(request.length) else { return try write(header, UnsafeRawBufferPointer(first)) }
    let isSent = socket.writing { send in
      guard header.withBytes({ send($0, UnsafeRawBufferPointer(first)) }) else { return false }
      var done = first.count
      while done < Int(request.length) {
        let next = piece(request, done, buffer)
        do { try device.read(into: next, at: request.offset + UInt64(done)) } catch { return false }
        guard send(UnsafeRawBufferPointer(next), UnsafeRawBufferPointer(start: nil, count: 0)) else { return false }
        done += next.count
      }
      return true
    }
    if !isSent { throw Parting.gone }
  }

  private func readInChunks(_ request: Request, _ buffer: UnsafeMutableRawBufferPointer) throws {
    let end = request.offset + UInt64(request.length)
    var at = request.offset
    // What is short is read as it is: to ask where the holes are would cost more.
    let isWhole = request.flags.contains(.dontFragment) || request.length <= Self.shortRead
    while at < end {
      if isWhole {
        try sendData(request.cookie, at, end, buffer)
        return
      }
      for extent in try device.extents(offset: at, length: end - at) {
        let limit = min(extent.offset + extent.length, end)
        guard extent.offset == at, limit > at else { throw NBDError.io }
        if extent.isHole {
          try sendHole(request.cookie, at, limit - at, isLast: limit == end)
          at = limit
        }
        while at < limit {
          let next = min(limit, at + UInt64(buffer.count))
          try sendData(request.cookie, at, next, isLast: next == end, buffer)
          at = next
        }
      }
    }
  }

  private func sendData(
    _ cookie: UInt64, _ begin: UInt64, _ end: UInt64, isLast: Bool = true, _ buffer: UnsafeMutableRawBufferPointer
  ) throws {
    let data = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(end - begin)])
    try device.read(into: data, at: begin)
    var header = ReplyBytes(chunk: .offsetData, cookie, length: 8 + data.count, isLast: isLast)
    header.put(begin)
    try write(header, UnsafeRawBufferPointer(data))
  }

  private func sendHole(_ cookie: UInt64, _ offset: UInt64, _ length: UInt64, isLast: Bool) throws(Parting) {
    var chunk = ReplyBytes(chunk: .offsetHole, cookie, length: 12, isLast: isLast)
    chunk.put(offset)
    chunk.put(UInt32(length))
    try write(chunk)
  }

  private func piece(
    _ request: Request, _ done: Int, _ buffer: UnsafeMutableRawBufferPointer
  ) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(buffer.count, Int(request.length) - done)])
  }

  // MARK: - Status

  private func tellStatus(_ request: Request) throws {
    let end = request.offset + UInt64(request.length)
    let most = request.flags.contains(.requestOne) ? 1 : Self.mostDescriptors
    var found: [NBDExtent] = []
    do {
      var at = request.offset
      // So often at the most that a device which answers in small steps can't keep a thread for long.
      for _ in 1...16 where at < end && found.count < most {
        for extent in try device.extents(offset: at, length: end - at) where at < end {
          guard extent.offset == at, extent.length > 0 else { throw NBDError.io }
          let length = min(extent.length, end - at)
          if let last = found.last, last.isHole == extent.isHole {
            found[found.count - 1].length += length
          } else {
            guard found.count < most else { break }
            found.append(NBDExtent(offset: at, length: length, isHole: extent.isHole))
          }
          at += length
        }
      }
    } catch let parting as Parting {
      throw parting
    } catch {
      return try fail(request.cookie, NBDError(error), isRead: true)
    }
    var chunk = WireBytes()
    ReplyBytes(chunk: .blockStatus, request.cookie, length: 4 + 8 * found.count, isLast: true)
      .withBytes { chunk.put($0) }
    chunk.put(Wire.allocationContextID)
    for extent in found {
      chunk.put(UInt32(extent.length))
      chunk.put(extent.isHole ? Wire.stateHole | Wire.stateZero : 0)
    }
    try socket.write(chunk)
  }
}
