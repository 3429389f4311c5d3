import Glibc

/// read(2), for descriptors that have no position to pass.
func systemRead(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> Int {
  max(0, read(descriptor, buffer.baseAddress!, buffer.count))
}
