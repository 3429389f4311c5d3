import Foundation
import Glibc
import LinuxSystem
import Synchronization

/// A small HTTP/1.1 server for tests: one thread a connection, one request a connection, answers and faults from a script.
/// It stops when the last reference goes.
public final class TestHTTPServer: Sendable {
  public typealias Script = @Sendable (ReceivedRequest) -> ScriptedAnswer

  /// 0 on a unix socket.
  public let port: UInt16
  private let state: State

  /// Listens on a free port of 127.0.0.1.
  public init() throws {
    let listener = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let bound = withUnsafeMutablePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, length) == 0 && listen(listener, 64) == 0 && getsockname(listener, $0, &length) == 0
      }
    }
    guard bound else { throw SystemError("bind 127.0.0.1", errno: errno) }
    port = UInt16(bigEndian: address.sin_port)
    state = State(listener: listener)
    state.start()
  }

  /// Listens on a unix socket, which must not be there yet.
  public init(unixSocket path: String) throws {
    let listener = Glibc.socket(AF_UNIX, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path.utf8.prefix(107)) }
    let bound = withUnsafePointer(to: &address) { pointer in
      pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0 && listen(listener, 64) == 0
      }
    }
    guard bound else { throw SystemError("bind", path: path, errno: errno) }
    port = 0
    state = State(listener: listener)
    state.start()
  }

  deinit { state.stop() }

  /// Ends every connection and refuses new ones.
  public func stop() { state.stop() }

  public func url(_ path: String) -> String { "http://127.0.0.1:\(port)\(path)" }

  /// Sets the script of a path, or of a whole address that the server is asked for as a proxy. Other paths are 404.
  /// - Parameter readsBody: false has it asked, and its answer sent, before the body of the request was read.
  public func serve(_ path: String, readsBody: Bool = true, _ script: @escaping Script) {
    state.scripts.withLock { $0[path] = (readsBody, script) }
  }

  public func serve(_ path: String, _ file: ServedFile) {
    serve(path) { file.answer($0) }
  }

  /// All requests so far, in the order of their coming.
  public var requests: [ReceivedRequest] { state.requests.withLock { $0 } }

  public func requests(to path: String) -> [ReceivedRequest] { requests.filter { $0.path == path } }

  private final class State: Sendable {
    let scripts = Mutex<[String: (readsBody: Bool, script: Script)]>([:])
    let requests = Mutex<[ReceivedRequest]>([])
    private let isStopped = Atomic(false)
    private let listener: Int32

    init(listener: Int32) { self.listener = listener }

    func start() {
      Thread.detachNewThread { [self] in
        while !isStopped.load(ordering: .relaxed) {
          var entry = pollfd(fd: listener, events: Int16(POLLIN), revents: 0)
          guard poll(&entry, 1, 50) > 0 else { continue }
          let connection = accept(listener, nil, nil)
          guard connection >= 0 else { continue }
          _ = fcntl(connection, F_SETFD, FD_CLOEXEC)
          Thread.detachNewThread { [self] in
            TestConnection(socket: connection, isStopped: { self.isStopped.load(ordering: .relaxed) })
              .serve(readsBody: readsBody, reply)
          }
        }
        close(listener)
      }
    }

    func stop() { isStopped.store(true, ordering: .relaxed) }

    private func readsBody(_ request: ReceivedRequest) -> Bool {
      scripts.withLock { $0[request.path]?.readsBody ?? true }
    }

    private func reply(_ request: ReceivedRequest) -> ScriptedAnswer {
      let numbered = requests.withLock { requests in
        var numbered = request
        numbered.number = 1 + requests.count { $0.path == request.path }
        requests.append(numbered)
        return numbered
      }
      let script = scripts.withLock { $0[request.path]?.script }
      return script?(numbered) ?? ScriptedAnswer(404, body: [UInt8]("nothing here\n".utf8))
    }
  }
}
