import Backupstore
import StageKit
import StoreStage
import Synchronization

/// Tells the job of what is lost, each range once.
final class DamageRecord: Sendable {
  private let host: any Host
  private let known = Mutex<Set<Loss>>([])

  init(_ host: any Host) { self.host = host }

  /// From any thread.
  func add(_ loss: Loss) {
    guard known.withLock({ $0.insert(loss).inserted }) else { return }
    struct Record: Encodable {
      var offset: UInt64
      var length: UInt64
      var block: String
      var reason: String
    }
    let what = loss.block.isEmpty ? loss.reason : "block \(loss.block) is \(loss.reason)"
    host.log(.warning, "\(loss.length) bytes at \(loss.offset) are lost: \(what)")
    do {
      try host.emit(
        "damage", Record(offset: loss.offset, length: loss.length, block: loss.block, reason: loss.reason))
    } catch {
      host.log(.error, "a loss could not be told: \(error)")
    }
  }
}
