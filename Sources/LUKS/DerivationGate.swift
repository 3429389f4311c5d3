private import Glibc
private import LinuxSystem

/// Lets in one derivation of a key at a time on a host, since each takes a GiB of memory and all processors.
public struct DerivationGate: Sendable {
  /// A file to lock, made where it is not there; nil: no lock.
  public var path: String?
  /// Asked about twenty times a second while it waits.
  public var isCancelled: @Sendable () -> Bool
  /// Called when it waits, and every five seconds as long as it does.
  public var waits: @Sendable () -> Void
  /// Called once where it has waited and waits no more.
  public var goesOn: @Sendable () -> Void
  /// KiB that can be had now; nil: not known.
  public var availableMemory: @Sendable () -> UInt64?

  public init(
    path: String? = nil, isCancelled: @escaping @Sendable () -> Bool = { false },
    waits: @escaping @Sendable () -> Void = {}, goesOn: @escaping @Sendable () -> Void = {},
    availableMemory: @escaping @Sendable () -> UInt64? = { HostMemory.availableKiB() }
  ) {
    self.path = path
    self.isCancelled = isCancelled
    self.waits = waits
    self.goesOn = goesOn
    self.availableMemory = availableMemory
  }

  /// Runs `body` alone. Another process may hold the lock for as long as it likes.
  func pass<R>(_ body: () throws(LUKSError) -> R) throws(LUKSError) -> R {
    guard let path else { return try body() }
    let file: OpenFile
    do throws(SystemError) {
      file = try OpenFile.open(path, .create(permissions: 0o600), followLinks: false)
      var rounds = 0
      while try !file.tryLockExclusive() {
        if isCancelled() { throw SystemError("lock", path: path, errno: ECANCELED) }
        if rounds % 100 == 0 { waits() }
        rounds += 1
        usleep(50_000)
      }
      if rounds > 0 { goesOn() }
    } catch {
      throw error.errno == ECANCELED ? .cancelled : .system(error)
    }
    defer { withExtendedLifetime(file) {} }
    if isCancelled() { throw .cancelled }
    return try body()
  }

  func require(memory: UInt64) throws(LUKSError) {
    if let available = availableMemory(), memory > available { throw .memory(needed: memory, available: available) }
  }
}
