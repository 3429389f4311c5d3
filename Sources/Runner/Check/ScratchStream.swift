import Glibc
import LinuxSystem

/// A pipe for a stage that takes over a descriptor: it reads so many bytes from it, or writes as many as it likes. A
/// thread of the check's is at the other end until the stage closes its own.
struct ScratchStream {
  /// The stage's end.
  let descriptor: Int32

  /// - Parameter size: Bytes that come out of it; nil swallows what is put in.
  init(size: Int?) throws {
    let (reading, writing) = try Pipe.make()
    if let size {
      descriptor = reading
      try SystemThread.start("check-feed") { Self.feed(writing, size) }
    } else {
      descriptor = writing
      try SystemThread.start("check-drain") { Self.drain(reading) }
    }
  }

  private static func feed(_ descriptor: Int32, _ size: Int) {
    let content = ScratchContent(size: size)
    var done = 0
    content.bytes.withUnsafeBytes { bytes in
      while done < size {
        let count = write(descriptor, bytes.baseAddress! + done, size - done)
        if count < 0, errno == EINTR { continue }
        if count <= 0 { break }
        done += count
      }
    }
    close(descriptor)
  }

  private static func drain(_ descriptor: Int32) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 65536, alignment: 16)
    defer { buffer.deallocate() }
    while true {
      let count = read(descriptor, buffer.baseAddress, buffer.count)
      if count < 0, errno == EINTR { continue }
      if count <= 0 { break }
    }
    close(descriptor)
  }
}
