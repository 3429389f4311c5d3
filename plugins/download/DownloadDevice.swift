import StageKit

/// The content behind an address, read in ascending order.
final class DownloadDevice: Device {
  private let server: Server
  private let host: any Host
  private let stallSeconds: Double
  /// What `info` told; every further connection must bring the same.
  private let version: Version
  private var content: Content?
  private var serverKnowsRanges = true
  private var recovery: Recovery
  private let clock = SuspendingClock()
  private var lastSign: SuspendingClock.Instant

  init(server: Server, host: any Host, token: Token?, stallSeconds: Double, recovery: Recovery = Recovery()) throws {
    let content = try server.content(from: token?.offset ?? 0, of: token?.version, patience: stallSeconds)
    if let size = content.version.size, !size.isMultiple(of: 512) { throw StageError.badSize(size, server.address) }
    self.server = server
    self.host = host
    self.stallSeconds = stallSeconds
    self.content = content
    self.recovery = recovery
    lastSign = clock.now
    version = content.version
    if let record = try version.record() { host.emit("result", json: record) }
  }

  func info() -> DeviceInfo {
    DeviceInfo(size: version.size, flags: [.sequential, .noExtents], identity: version.identity)
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: UInt64) throws -> Int {
    let wanted = version.size.map { Int(min(UInt64(buffer.count), $0 - min($0, offset))) } ?? buffer.count
    var filled = 0
    lastSign = clock.now
    while filled < wanted {
      let position = offset + UInt64(filled)
      do {
        try seek(to: position)
        let count = try take(into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled..<wanted]))
        if count == 0 && version.size == nil { break }
        guard count > 0 else { throw cut(at: position) }
        filled += count
      } catch let error as StageError where error.code == "network" && error.retry == .transient {
        content = nil
        try recover(from: error, at: position)
      }
    }
    return filled
  }

  func checkpoint(offset: UInt64) throws -> [UInt8]? {
    version.condition == nil ? nil : try Token(offset: offset, version: version).encoded()
  }

  func close() {
    content = nil
  }

  /// Makes the next byte of `content` the one at `offset`.
  private func seek(to offset: UInt64) throws {
    if let position = content?.position, position <= offset, offset - position <= 256 << 10 || !canAskForRest {
      return try skip(to: offset)
    }
    content = nil
    let next = try server.content(from: canAskForRest ? offset : 0, of: version, patience: stallSeconds)
    guard version.isProvedBy(next.version) else {
      throw StageError.sourceChanged(server.address, "it was \(version), and now is \(next.version)")
    }
    if next.position != offset { serverKnowsRanges = false }
    content = next
    try skip(to: offset)
  }

  private var canAskForRest: Bool { serverKnowsRanges && version.condition != nil }

  /// Reads and drops what lies before `offset`.
  private func skip(to offset: UInt64) throws {
    guard let start = content?.position, start < offset else { return }
    let piece = UnsafeMutableRawBufferPointer.allocate(
      byteCount: Int(min(offset - start, 1 << 20)), alignment: 4096)
    defer { piece.deallocate() }
    while let position = content?.position, position < offset {
      host.phase("reading again what is there", detail: "\(position * 100 / offset) %")
      let count = min(offset - position, UInt64(piece.count))
      guard try take(into: UnsafeMutableRawBufferPointer(rebasing: piece[..<Int(count)])) > 0 else {
        throw cut(at: position)
      }
    }
  }

  /// Some bytes, as soon as there are any; 0 at the end.
  private func take(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard let transfer = content?.transfer else { return 0 }
    let count = try server.read(transfer, into: buffer)
    content?.position += UInt64(count)
    // A slow network may need minutes for one block.
    if lastSign.duration(to: clock.now) > .seconds(2) {
      host.phase("receiving", detail: nil)
      lastSign = clock.now
    }
    return count
  }

  private func cut(at position: UInt64) -> StageError {
    StageError(
      "network", "the answer of \(server.address) ended after \(position) of \(version)", retry: .transient)
  }

  /// Returns when the content may be asked for again; otherwise throws the error.
  private func recover(from error: StageError, at position: UInt64) throws {
    guard version.condition != nil else {
      var error = error
      error.hint = "the server tells nothing by which the rest could be asked for, so the next attempt begins anew"
      throw error
    }
    guard let seconds = recovery.pause(at: position) else { throw error }
    host.log(.warning, "\(error.message); going on at \(position)")
    try server.wait(seconds: seconds, "connecting again")
  }
}
