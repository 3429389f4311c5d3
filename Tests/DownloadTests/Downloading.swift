import FoundationEssentials
import StageKit
import Testing

@testable import DownloadStage

func request(
  _ url: String, caFile: String? = nil, stallSeconds: Int = 20, checkpoint: [UInt8]? = nil, attempt: Int = 1
) throws -> OpenRequest {
  var params = ["url": url]
  params["ca-file"] = caFile
  let json = String(decoding: try JSONEncoder().encode(params), as: UTF8.self)
  return OpenRequest(
    role: .source, writable: false, params: json, job: "job-1", jobFolder: "/nonexistent", attempt: attempt,
    stallSeconds: stallSeconds, checkpoint: checkpoint)
}

func open(
  _ url: String, host: RecordingHost = RecordingHost(), caFile: String? = nil, stallSeconds: Int = 20,
  checkpoint: [UInt8]? = nil
) throws -> any Device {
  try Download.open(
    request(url, caFile: caFile, stallSeconds: stallSeconds, checkpoint: checkpoint), host: host)
}

/// A device that does not wait long before it connects again.
func openHasty(_ url: String) throws -> any Device {
  let host = RecordingHost()
  return try DownloadDevice(
    server: Server(request(url), host: host), host: host, token: nil, stallSeconds: 20, recovery: Recovery(step: 0.01))
}

/// Reads as the pump does: blocks in order, until the size is reached or a block comes short.
func readAll(_ device: any Device, from start: UInt64 = 0, block: Int = 64 << 10) throws -> [UInt8] {
  let size = try device.info().size
  var all: [UInt8] = []
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: block, alignment: 16)
  defer { buffer.deallocate() }
  while true {
    let offset = start + UInt64(all.count)
    let wanted = size.map { Int(min(UInt64(block), $0 - offset)) } ?? block
    if wanted == 0 { return all }
    let count = try device.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset)
    all += buffer[..<count]
    if count < wanted {
      #expect(size == nil, "a short read of a device of known size")
      return all
    }
  }
}

/// The error that the body ends with, which must be a `StageError`.
func failure(sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void) throws -> StageError {
  try #require(throws: StageError.self, sourceLocation: sourceLocation, performing: body)
}
