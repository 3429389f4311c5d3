import LinuxSystem
@testable import Runner

/// Lets a thread wait until another opens it.
final class Gate: Sendable {
  private let isOpen = Monitor<Bool>(false)
  func open() { isOpen.change { $0 = true } }
  /// False: nobody opened it in time.
  @discardableResult func wait(atMost seconds: Double) -> Bool {
    let answer: Bool? = isOpen.wait(atMost: seconds) { $0 ? true : nil }
    return answer ?? false
  }
}
