import Glibc
import LinuxSystem

/// What this process has open, by number.
struct OpenDescriptors {
  private var names: [Int32: String]

  static var now: OpenDescriptors {
    var names: [Int32: String] = [:]
    for entry in (try? Folder.list("/proc/self/fd")) ?? [] {
      guard let number = Int32(entry) else { continue }
      var target = [CChar](repeating: 0, count: 4096)
      let count = readlink("/proc/self/fd/\(entry)", &target, target.count)
      guard count > 0 else { continue }
      names[number] = String(decoding: target[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
    return OpenDescriptors(names: names)
  }

  /// What is open now and was not then, for people; nil where nothing is. Pipes are left out: those of the check's own
  /// streams are closed by threads, sooner or later.
  static func leaked(since before: OpenDescriptors) -> String? {
    let more = now.names.filter { number, name in before.names[number] != name && !name.hasPrefix("pipe:") }
    return more.isEmpty
      ? nil : more.sorted { $0.key < $1.key }.prefix(4).map { "\($0.value)" }.joined(separator: ", ")
  }
}
