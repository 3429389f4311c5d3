import CLinux
import Glibc

/// A detached thread for blocking work. Swift's cooperative pool and Dispatch's threads stay free of it.
public enum SystemThread {
  /// Starts one. At most 15 bytes of the name are kept. Fails with EAGAIN where the system has no more threads.
  public static func start(_ name: String, _ body: @escaping @Sendable () -> Void) throws(SystemError) {
    let start = Start(name: name, body: body)
    let context = unsafe Unmanaged.passRetained(start).toOpaque()
    var attributes = pthread_attr_t()
    unsafe pthread_attr_init(&attributes)
    defer { unsafe pthread_attr_destroy(&attributes) }
    unsafe pthread_attr_setdetachstate(&attributes, Int32(PTHREAD_CREATE_DETACHED))
    var thread = pthread_t()
    let code = unsafe pthread_create(
      &thread, &attributes,
      { context in
        let start = unsafe Unmanaged<Start>.fromOpaque(context!).takeRetainedValue()
        _ = unsafe clinux_name_thread(start.name)
        start.body()
        return nil
      }, context)
    guard code == 0 else {
      unsafe Unmanaged<Start>.fromOpaque(context).release()
      throw SystemError("start a thread", errno: code)
    }
  }

  private final class Start: Sendable {
    let name: String
    let body: @Sendable () -> Void
    init(name: String, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.body = body
    }
  }
}
