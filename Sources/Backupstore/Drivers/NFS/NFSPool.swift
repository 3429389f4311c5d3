import DroverModel
import Glibc
import LinuxSystem
import NFS
import Synchronization

/// Connections to one folder of a server: as many as there are threads that call at once, made when needed and made anew
/// when they are lost.
final class NFSPool: Sendable {
  private let url: String
  private let place: ExportPlace
  private let answerSeconds: Double
  private let attempts: Int
  private let state = Mutex(State())

  private struct State {
    var idle: [NFSMount] = []
    var version: Int?
    var root: Root?
    /// Counts up when a connection was lost: older ones are to the same dead server.
    var generation = 0
  }

  private struct Root: Equatable {
    var device: UInt64
    var inode: UInt64
  }

  init(url: String, _ place: ExportPlace, stallSeconds: Double, attempts: Int) {
    self.url = url
    self.place = place
    answerSeconds = min(place.mount.timeoutSeconds ?? stallSeconds, stallSeconds)
    self.attempts = place.mount.retransmissions.map { $0 + 1 } ?? attempts
  }

  /// Of the protocol; 3 or 4 once opened.
  var version: Int { state.withLock { $0.version ?? 3 } }

  /// Reaches the server. Without a wish of the user's, version 3 is tried before 4.
  func open(_ deadline: Deadline) throws(StoreError) {
    let versions = place.mount.version.map { [$0.rawValue] } ?? [3, 4]
    var first: NFSError?
    for version in versions {
      do throws(NFSError) {
        let mount = try connect(version, min(deadline.bootSeconds, BootClock.seconds() + 15))
        let root = try Self.root(mount, deadline.bootSeconds)
        _ = try mount.names("/", deadline: deadline.bootSeconds)
        state.withLock {
          $0.version = version
          $0.root = root
          $0.idle = [mount]
        }
        return
      } catch {
        // What the wished version says counts; of both, what 3 says, unless the server knows nothing of it.
        if first == nil || first?.kind == .disconnected { first = error }
      }
    }
    throw StoreError(nfs: first!, opening: url)
  }

  /// Runs `body` on a connection, once more from its beginning on a new one when the connection is lost on the way.
  func perform<R>(
    _ what: String, _ deadline: Deadline, writing: Bool = false,
    _ body: (NFSMount, Double) throws(NFSError) -> R
  ) throws(StoreError) -> R {
    var pause = 0.2
    var attempt = 1
    while true {
      if deadline.isOver { throw StoreError(.timedOut, "no time left to \(what) in \(url)") }
      let (taken, version, generation) = state.withLock { ($0.idle.popLast(), $0.version ?? 3, $0.generation) }
      let failure: NFSError
      do throws(NFSError) {
        let mount = if let taken { taken } else { try connect(version, deadline.bootSeconds) }
        do throws(NFSError) {
          let result = try body(mount, deadline.bootSeconds)
          keep(mount, since: generation)
          return result
        } catch {
          // A stale handle may be the server's memory only; a new look-up tells.
          if mount.isBroken || error.isStale { dropIdle(since: generation) } else { keep(mount, since: generation) }
          throw error
        }
      } catch {
        failure = error
      }
      if deadline.isOver { throw StoreError(.timedOut, "no time left to \(what) in \(url)") }
      let isPassing = failure.kind != .refused || failure.isStale
      guard isPassing, attempt < attempts else {
        throw StoreError(nfs: failure, doing: what, url: url, writing: writing)
      }
      attempt += 1
      // A connection that was kept may have died long ago: the first new one is made at once.
      if taken == nil {
        let wait = min(pause * Double.random(in: 0.5...1), max(0, deadline.bootSeconds - BootClock.seconds()))
        usleep(UInt32(wait * 1e6))
        pause *= 2
      }
    }
  }

  /// Before anything is called absent: the root is still the folder that was opened.
  func confirmRoot(_ mount: NFSMount, _ limit: Double) throws(NFSError) {
    let known = state.withLock { $0.root }
    guard let known, known != (try Self.root(mount, limit)) else { return }
    throw NFSError.replacedRoot
  }

  private static func root(_ mount: NFSMount, _ limit: Double) throws(NFSError) -> Root {
    guard let status = try mount.status("/", deadline: limit), status.isFolder else { throw NFSError.replacedRoot }
    return Root(device: status.device, inode: status.inode)
  }

  private func keep(_ mount: NFSMount, since generation: Int) {
    state.withLock { if $0.generation == generation { $0.idle.append(mount) } }
  }

  private func dropIdle(since generation: Int) {
    let dropped = state.withLock { state in
      guard state.generation == generation else { return [NFSMount]() }
      state.generation += 1
      defer { state.idle = [] }
      return state.idle
    }
    // Closing them outside of the lock.
    _ = dropped
  }

  private func connect(_ version: Int, _ limit: Double) throws(NFSError) -> NFSMount {
    try NFSMount.open(
      host: place.host, path: place.path, version: version, port: place.mount.port,
      mountPort: version == 3 ? place.mount.mountPort : nil, answerSeconds: answerSeconds, deadline: limit)
  }
}
