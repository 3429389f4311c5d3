/// Answers requests of one client, from several threads at once, each with a buffer of its own.
struct Answering {
  let socket: ClientSocket
  let device: any NBDDevice
  let agreement: Agreement

  /// What is read and sent at once.
  static let pieceLength = 1 << 20
  /// Descriptors of one answer.
  private static let mostDescriptors = 1024

  /// A request other than `write`, whose data is still to come, and `disconnect`.
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
      case .writeZeroes:
        try device.zero(
          offset: request.offset, length: UInt64(request.length), keepingSpace: request.flags.contains(.noHole))
      case .write, .disconnect: throw NBDError.invalid
      }
      if request.flags.contains(.fua), device.isWritable { try device.flush() }
    } catch let parting as Parting {
      throw parting
    } catch {
      return try fail(request.cookie, (error as? NBDError) ?? .io, isRead: request.command == .read)
    }
    try succeed(request.cookie)
  }

  func succeed(_ cookie: UInt64) throws(Parting) { try socket.write(Self.simple(cookie, 0)) }

  /// - Parameter isRead: Reads, and questions for the status, are answered in chunks where that was agreed on.
  func fail(_ cookie: UInt64, _ error: NBDError, isRead: Bool) throws(Parting) {
    guard isRead, agreement.hasStructuredReplies else { return try socket.write(Self.simple(cookie, error.rawValue)) }
    var chunk = Self.chunk(.error, cookie, length: 6, isLast: true)
    chunk.put(error.rawValue)
    chunk.put(UInt16(0))
    try socket.write(chunk)
  }

  // MARK: - Reading

  /// The header says that all is well before the second piece is read: where that fails, the client is left.
  private func readPlainly(_ request: Request, _ buffer: UnsafeMutableRawBufferPointer) throws {
    let first = piece(request, 0, buffer)
    try device.read(into: first, at: request.offset)
    let isSent = try socket.writing { send in
      guard Self.simple(request.cookie, 0).bytes.withUnsafeBytes(send), send(UnsafeRawBufferPointer(first)) else {
        return false
      }
      var done = first.count
      while done < Int(request.length) {
        let next = piece(request, done, buffer)
        do { try device.read(into: next, at: request.offset + UInt64(done)) } catch { throw Parting.gone }
        guard send(UnsafeRawBufferPointer(next)) else { return false }
        done += next.count
      }
      return true
    }
    if !isSent { throw Parting.gone }
  }

  private func readInChunks(_ request: Request, _ buffer: UnsafeMutableRawBufferPointer) throws {
    let end = request.offset + UInt64(request.length)
    var at = request.offset
    while at < end {
      let extents =
        request.flags.contains(.dontFragment)
        ? [NBDExtent(offset: at, length: end - at, isHole: false)]
        : try device.extents(offset: at, length: end - at)
      for extent in extents {
        let limit = min(extent.offset + extent.length, end)
        guard extent.offset == at, limit > at else { throw NBDError.io }
        if extent.isHole {
          try sendHole(request.cookie, at, limit - at, isLast: limit == end)
          at = limit
        }
        while at < limit {
          let data = UnsafeMutableRawBufferPointer(rebasing: buffer[..<Int(min(limit - at, UInt64(buffer.count)))])
          try device.read(into: data, at: at)
          let next = at + UInt64(data.count)
          var header = Self.chunk(.offsetData, request.cookie, length: 8 + data.count, isLast: next == end)
          header.put(at)
          let isSent = socket.writing { send in
            header.bytes.withUnsafeBytes(send) && send(UnsafeRawBufferPointer(data))
          }
          if !isSent { throw Parting.gone }
          at = next
        }
      }
    }
  }

  private func sendHole(_ cookie: UInt64, _ offset: UInt64, _ length: UInt64, isLast: Bool) throws(Parting) {
    var chunk = Self.chunk(.offsetHole, cookie, length: 12, isLast: isLast)
    chunk.put(offset)
    chunk.put(UInt32(length))
    try socket.write(chunk)
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
      return try fail(request.cookie, (error as? NBDError) ?? .io, isRead: true)
    }
    var chunk = Self.chunk(.blockStatus, request.cookie, length: 4 + 8 * found.count, isLast: true)
    chunk.put(Wire.allocationContextID)
    for extent in found {
      chunk.put(UInt32(extent.length))
      chunk.put(extent.isHole ? Wire.stateHole | Wire.stateZero : 0)
    }
    try socket.write(chunk)
  }

  private static func simple(_ cookie: UInt64, _ error: UInt32) -> WireBytes {
    var reply = WireBytes()
    reply.put(Wire.simpleReplyMagic)
    reply.put(error)
    reply.put(cookie)
    return reply
  }

  private static func chunk(_ kind: Wire.Chunk, _ cookie: UInt64, length: Int, isLast: Bool) -> WireBytes {
    var chunk = WireBytes()
    chunk.put(Wire.structuredReplyMagic)
    chunk.put(isLast ? Wire.chunkIsLast : 0)
    chunk.put(kind.rawValue)
    chunk.put(cookie)
    chunk.put(UInt32(length))
    return chunk
  }
}
