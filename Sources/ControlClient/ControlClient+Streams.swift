import Curl
import DroverModel
import FoundationEssentials
import Glibc

extension ControlClient {
  /// Reads an answer of one JSON value a line until it ends or `onLine` answers false.
  /// - Parameter isCancelled: asked about five times a second, also while no line comes; true ends the stream quietly.
  public func stream<T: Decodable>(
    _ path: String, query: [String: String] = [:], of type: T.Type = T.self,
    isCancelled: @escaping () -> Bool = { false }, onLine: (T) throws -> Bool
  ) throws {
    let decoder = JSONDecoder()
    try lines(path, query: query, isCancelled: isCancelled) { line in
      guard !line.isEmpty else { return true }
      guard let value = try? decoder.decode(T.self, from: Data(line)) else {
        throw Fault(
          .internalError, "\(path) sent a line that can't be read: \(String(decoding: line.prefix(200), as: UTF8.self))"
        )
      }
      return try onLine(value)
    }
  }

  /// As `stream`, for lines of any content. They come without their line end.
  public func lines(
    _ path: String, query: [String: String] = [:], isCancelled: @escaping () -> Bool = { false },
    onLine: ([UInt8]) throws -> Bool
  ) throws {
    var request = request(.get, path, query)
    request.isCancelled = isCancelled
    do {
      try asking(request) { transfer in
        try throwRefusal(transfer, request)
        var splitter = LineSplitter()
        try each(of: transfer) { try splitter.take($0, onLine) }
        if let last = splitter.rest { _ = try onLine(last) }
      }
    } catch let fault as Fault where fault.code == .cancelled {
    }
  }

  /// Sends what can be read from the descriptor as the body of a PUT.
  /// - Parameters:
  ///   - size: bytes that will come, where known; fewer is a fault. Nil sends until the descriptor ends.
  ///   - progress: gets the bytes sent so far.
  public func upload<T: Decodable>(
    _ path: String, query: [String: String] = [:], from descriptor: Int32, size: Int64?, as type: T.Type = T.self,
    isCancelled: @escaping () -> Bool = { false }, progress: @escaping (Int64) -> Void
  ) throws -> T {
    var request = request(.put, path, query)
    request.body = .descriptor(descriptor, size: size, sent: progress)
    request.headers.append(("Content-Type", "application/octet-stream"))
    request.isCancelled = isCancelled
    return try asking(request) { transfer in
      try throwRefusal(transfer, request)
      return try decode(transfer.readAll(limit: 64 << 20), of: path)
    }
  }

  /// Writes the body of a GET to the descriptor.
  /// - Parameter progress: gets the bytes written so far, and how many there will be where the daemon says so.
  /// - Returns: how many bytes came.
  @discardableResult public func download(
    _ path: String, query: [String: String] = [:], to descriptor: Int32, isCancelled: @escaping () -> Bool = { false },
    progress: (Int64, Int64?) -> Void
  ) throws -> Int64 {
    var request = request(.get, path, query)
    request.headers = []
    request.isCancelled = isCancelled
    return try asking(request) { transfer in
      try throwRefusal(transfer, request)
      let total = try transfer.head()["content-length"].flatMap { Int64($0) }
      let output = Output(descriptor)
      var done: Int64 = 0
      try each(of: transfer) { bytes in
        try output.write(bytes, isCancelled: isCancelled)
        done += Int64(bytes.count)
        progress(done, total)
        return true
      }
      return done
    }
  }

  private func throwRefusal(_ transfer: Transfer, _ request: Request) throws {
    let status = try transfer.head().status
    guard (200..<300).contains(status) else { throw refusal(status, try transfer.readAll(limit: 1 << 20), request) }
  }

  /// Hands out the body in pieces as they come, until `body` answers false.
  private func each(of transfer: Transfer, _ body: (UnsafeRawBufferPointer) throws -> Bool) throws {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    defer { buffer.deallocate() }
    while true {
      let count = try transfer.read(into: buffer, minimum: 1)
      guard count > 0, try body(UnsafeRawBufferPointer(rebasing: buffer[..<count])) else { return }
    }
  }
}

/// Where a download goes: a file, or something whose reader may be slow or gone.
private struct Output {
  let descriptor: Int32
  /// What a write may block on while nobody sees that the user has had enough.
  private let mayBlock: Bool

  init(_ descriptor: Int32) {
    self.descriptor = descriptor
    var status = stat()
    mayBlock = fstat(descriptor, &status) != 0 || status.st_mode & S_IFMT != S_IFREG
  }

  func write(_ bytes: UnsafeRawBufferPointer, isCancelled: () -> Bool) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      if mayBlock { try waitForRoom(isCancelled) }
      // A pipe that has room takes this much without blocking.
      let piece = mayBlock ? min(rest.count, Int(PIPE_BUF)) : rest.count
      let count = Glibc.write(descriptor, UnsafeRawBufferPointer(rebasing: rest).baseAddress, piece)
      if count >= 0 {
        rest = rest.dropFirst(count)
      } else if errno != EINTR && errno != EAGAIN {
        throw Self.fault(errno)
      }
    }
  }

  private func waitForRoom(_ isCancelled: () -> Bool) throws {
    while true {
      var entry = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
      let count = poll(&entry, 1, 200)
      if count < 0 && errno != EINTR { throw Self.fault(errno) }
      if isCancelled() { throw Fault(.cancelled, "writing what was received: cancelled") }
      if count > 0 { return }
    }
  }

  private static func fault(_ code: Int32) -> Fault {
    Fault(
      code == ENOSPC || code == EDQUOT ? .noSpace : .io,
      "writing what was received: \(String(cString: strerror(code)))", retry: .never)
  }
}
