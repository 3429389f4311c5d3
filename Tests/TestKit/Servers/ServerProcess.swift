import Foundation
import Glibc
import LinuxSystem
import Synchronization

/// A program that serves on loopback, ended with everything it started when the last reference goes or this process ends
/// in whatever way.
public final class ServerProcess: Sendable {
  private let shell: ChildProcess
  private let leash: Int32
  private let isStopped = Atomic(false)

  /// Starts it and waits until the port takes connections. `arguments` begin with the program.
  public init(_ arguments: [String], port: UInt16, environment: [String: String] = [:], log: String) throws {
    var ends: [Int32] = [0, 0]
    guard pipe(&ends) == 0 else { throw SystemError("pipe", errno: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    let output = Glibc.open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
    defer {
      close(ends[0])
      close(output)
    }
    // The shell reads the leash until this process lets go of it.
    let script = #"setsid "$@" </dev/null & server=$!; cat >/dev/null; kill -KILL -$server; wait $server"#
    var all = ProcessInfo.processInfo.environment.filter { ["PATH", "HOME", "LANG", "PYENV_ROOT"].contains($0.key) }
    all.merge(environment) { $1 }
    shell = try ChildProcess.spawn(
      "/bin/sh", arguments: ["sh", "-c", script, "sh"] + arguments, environment: all,
      descriptors: [(parent: ends[0], child: 0), (parent: output, child: 1), (parent: output, child: 2)])
    leash = ends[1]
    do {
      try until("\(arguments[0]) serves: \(said(log))", within: 60) { Self.answers(port) }
    } catch {
      stop()
      throw error
    }
  }

  deinit { stop() }

  /// Kills it, and waits until it has ended.
  public func stop() {
    guard !isStopped.exchange(true, ordering: .relaxed) else { return }
    close(leash)
    _ = try? shell.wait()
  }

  public static func freePort() -> UInt16 {
    withSocket(port: 0) { socket, address, length in
      _ = bind(socket, address, length)
      var bound = sockaddr_in()
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      withUnsafeMutablePointer(to: &bound) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { _ = getsockname(socket, $0, &size) }
      }
      return UInt16(bigEndian: bound.sin_port)
    }
  }

  private static func answers(_ port: UInt16) -> Bool {
    withSocket(port: port) { socket, address, length in connect(socket, address, length) == 0 }
  }

  private static func withSocket<R>(
    port: UInt16, _ body: (Int32, UnsafePointer<sockaddr>, socklen_t) -> R
  ) -> R {
    let socket = Glibc.socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    defer { close(socket) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        body(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
      }
    }
  }
}

private func said(_ log: String) -> Substring {
  ((try? String(contentsOfFile: log, encoding: .utf8)) ?? "").suffix(500)
}
