// build: DiskImage
// link: z zstd lz4 crypto
import DiskImage
import Glibc
import LinuxSystem

/// Takes the bytes for a qcow2 file: opening and reading it gives an error or bytes that agree with its extents, and
/// nothing else, in bounded time.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzQcow2(_ start: UnsafePointer<UInt8>, _ count: Int) -> CInt {
  do {
    let file = try OpenFile.open("/dev/shm/drover-fuzz-qcow2-\(getpid())", .create(permissions: 0o600))
    unlink(file.path)
    try file.write(UnsafeRawBufferPointer(start: start, count: count), at: 0)
    _ = try ImageDescription.of(file)
    let image = try Qcow2Image(file)
    _ = try image.dataSize()
    let window: UInt64 = 256 << 10
    for begin in Set([0, image.size / 2, image.size - min(window, image.size)]) {
      try use(image, begin, min(window, image.size - begin))
    }
  } catch is Qcow2Error {
  } catch {
    fatalError("\(error)")
  }
  return 0
}

private func use(_ image: Qcow2Image, _ begin: UInt64, _ length: UInt64) throws {
  let whole = UnsafeMutableRawBufferPointer.allocate(byteCount: Int(length), alignment: 16)
  defer { whole.deallocate() }
  try image.read(into: whole, at: begin)
  var at = begin
  for run in try image.extents(offset: begin, length: length) {
    precondition(run.offset == at && run.length > 0)
    let bytes = whole[Int(at - begin)..<Int(at - begin + run.length)]
    precondition(run.isData || bytes.allSatisfy { $0 == 0 }, "a zero extent has data at \(at)")
    at += run.length
  }
  precondition(at == begin + length, "extents end at \(at)")
  // In pieces that fit no cluster it is the same.
  let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 30_011, alignment: 16)
  defer { piece.deallocate() }
  var done = 0
  while done < whole.count {
    let part = UnsafeMutableRawBufferPointer(rebasing: piece[..<min(piece.count, whole.count - done)])
    try image.read(into: part, at: begin + UInt64(done))
    precondition(memcmp(part.baseAddress!, whole.baseAddress! + done, part.count) == 0, "pieces differ at \(done)")
    done += part.count
  }
}
