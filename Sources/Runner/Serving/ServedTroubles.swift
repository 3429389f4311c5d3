import DroverModel
import LinuxSystem
import NBD
import Synchronization

/// What goes wrong in a served device: a client only gets a number, people get the reason.
final class ServedTroubles: Sendable {
  private struct State {
    var told = 0
    var isFullTold = false
    var last: Fault?
    var fatal: Fault?
    var hang: Fault?
  }
  private let state = Mutex(State())
  private let isBroken = Atomic(false)
  private let tell: @Sendable (Fault, _ more: String) -> Void

  /// So many failures are told to people; what a damaged store has beyond is more of the same.
  private static let mostTold = 50

  init(tell: @escaping @Sendable (Fault, _ more: String) -> Void) { self.tell = tell }

  /// The latest failure of a call.
  var last: Fault? { state.withLock { $0.last } }
  /// A flush has failed and nothing can be written any more until the device is opened anew, or a call hangs.
  var fatal: Fault? { state.withLock { $0.fatal ?? $0.hang } }

  /// The device is of no more use. The first reason stays.
  func fail(_ fault: Fault) {
    let isFirst = state.withLock { state in
      defer { state.fatal = state.fatal ?? fault }
      return state.fatal == nil
    }
    isBroken.store(true, ordering: .releasing)
    if isFirst { tell(fault, "") }
  }

  /// A call hangs; nil: none does, or not any more.
  func hangs(_ fault: Fault?) {
    let isNew = state.withLock { state in
      defer { state.hang = fault }
      return fault != nil && state.hang == nil
    }
    if isNew, let fault { tell(fault, "") }
  }

  func watching<R>(_ body: () throws -> R) throws(NBDError) -> R {
    do { return try body() } catch { throw note(error) }
  }

  /// Refused once a flush has failed.
  func watchingChange<R>(_ body: () throws -> R) throws(NBDError) -> R {
    guard !isBroken.load(ordering: .acquiring) else { throw .io }
    return try watching(body)
  }

  /// After a flush that failed nobody can tell what is on the disk, and the next one might succeed all the same: no client
  /// is told again that its bytes are safe.
  func watchingFlush(_ body: () throws -> Void) throws(NBDError) {
    guard !isBroken.load(ordering: .acquiring) else { throw .io }
    do { try body() } catch {
      let fault = Self.fault(error)
      guard fault.code != .noSpace else { throw note(fault) }
      fail(
        Fault(
          fault.code, "a flush failed, so nothing more is written: \(fault.message)",
          hint: "see to the disk below, then detach and attach again; what was not flushed before may be lost",
          retry: .afterFix))
      throw .io
    }
  }

  private static func fault(_ error: any Error) -> Fault { (error as? Fault) ?? Fault(.internalError, "\(error)") }

  private func note(_ error: any Error) -> NBDError {
    let fault = Self.fault(error)
    let number: Int? = state.withLock { state in
      state.last = fault
      // A full disk fails each write until somebody makes room.
      if fault.code == .noSpace {
        guard !state.isFullTold else { return nil }
        state.isFullTold = true
      }
      state.told += 1
      return state.told
    }
    if let number, number <= Self.mostTold {
      tell(fault, number == Self.mostTold ? "; further failures are not told" : "")
    }
    return switch fault.code {
    case .noSpace: .noSpace
    case .noMemory: .noMemory
    case .notPermitted: .notPermitted
    default: .io
    }
  }
}
