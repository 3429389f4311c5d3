import DroverModel
import LinuxSystem
import Synchronization

/// Lets the kernel copy between the files behind two devices: a reflink of the whole, or `copy_file_range` of what the
/// source offers.
final class KernelCopy: Sendable {
  private let source: any BlockDevice
  /// Of the whole device; nil: only parts of it lie in a file as they are.
  private let from: FilePlace?
  private let to: FilePlace
  private let isOffered: Mutex<Bool?>

  var isOfParts: Bool { from == nil }

  private init(_ source: any BlockDevice, from: FilePlace?, to: FilePlace) {
    self.source = source
    self.from = from
    self.to = to
    isOffered = Mutex(nil)
  }

  /// Nil where one of the devices does not offer its file for the whole range, or the kernel does not copy between them.
  static func between(
    _ source: any BlockDevice, _ sink: any BlockDevice, size: UInt64
  ) throws -> KernelCopy? {
    guard size > 0, let from = try source.fileRange(offset: 0, length: size),
      let to = try sink.fileRange(offset: 0, length: size)
    else { return nil }
    let copy = KernelCopy(source, from: from, to: to)
    // Asked for nothing, the kernel still says whether it would.
    return try copyPiece(from: from, to: to, 0, length: 0) == nil ? nil : copy
  }

  /// For a source whose end lies in a file, though its begin does not. Nil as above.
  static func ofParts(_ source: any BlockDevice, _ sink: any BlockDevice, size: UInt64) throws -> KernelCopy? {
    guard size > 0, let end = try source.fileRange(offset: size - 1, length: 1),
      let to = try sink.fileRange(offset: 0, length: size)
    else { return nil }
    return try copyPiece(from: end, to: to, 0, length: 0) == nil ? nil : KernelCopy(source, from: nil, to: to)
  }

  /// Makes the sink's file a reflink of the source's, where both are exactly the device and the file system can.
  func cloneWhole(size: UInt64) throws -> Bool {
    guard let from, from.offset == 0, to.offset == 0 else { return false }
    do {
      guard try FileStatus.of(descriptor: from.descriptor).size == size,
        try FileStatus.of(descriptor: to.descriptor).size <= size
      else { return false }
      return try OpenFile.cloneWhole(from: from.descriptor, to: to.descriptor)
    } catch {
      throw Fault(system: error)
    }
  }

  /// Copies the claim. False: it is not offered, or the kernel does not copy between these files at all, and nothing was
  /// copied.
  func copy(_ claim: Claim, check: () throws -> Void) throws -> Bool {
    if isOffered.withLock({ $0 }) == false { return false }
    guard let begin = try place(of: claim) else { return false }
    let target = FilePlace(descriptor: to.descriptor, offset: to.offset + claim.offset)
    var done: UInt64 = 0
    while done < claim.length {
      try check()
      let count = try Self.copyPiece(from: begin, to: target, done, length: min(16 << 20, claim.length - done))
      guard let count else {
        isOffered.withLock { $0 = false }
        return false
      }
      guard count > 0 else {
        throw Fault(.sourceChanged, "the source's file ended at byte \(claim.offset + done) while it was copied")
      }
      done += count
    }
    isOffered.withLock { $0 = true }
    return true
  }

  private func place(of claim: Claim) throws -> FilePlace? {
    if let from { return FilePlace(descriptor: from.descriptor, offset: from.offset + claim.offset) }
    return try source.fileRange(offset: claim.offset, length: claim.length)
  }

  private static func copyPiece(
    from: FilePlace, to: FilePlace, _ offset: UInt64, length: UInt64
  ) throws(Fault) -> UInt64? {
    do throws(SystemError) {
      return try OpenFile.copyRange(
        from: from.descriptor, sourceOffset: from.offset + offset, to: to.descriptor, offset: to.offset + offset,
        length: length)
    } catch {
      throw Fault(system: error)
    }
  }
}

extension Fault {
  /// A system call of the runner's own that failed.
  init(system error: SystemError) {
    if error.isNoSpace {
      self.init(.noSpace, "\(error)", hint: "free some space and retry the job")
    } else {
      self.init(.io, "\(error)")
    }
  }
}
