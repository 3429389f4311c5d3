private import Glibc
private import LinuxSystem

/// What the kernel says of memory that can still be had.
public enum HostMemory {
  /// KiB, free swap included, within the limit of this process's control group; nil where the kernel does not say.
  public static func availableKiB() -> UInt64? {
    guard let meminfo = text("/proc/meminfo") else { return nil }
    var numbers: [Substring: UInt64] = [:]
    for line in meminfo.split(separator: "\n") {
      let words = line.split(separator: " ")
      guard words.count >= 2 else { continue }
      numbers[words[0]] = UInt64(words[1])
    }
    guard let available = numbers["MemAvailable:"] else { return nil }
    return min(available + (numbers["SwapFree:"] ?? 0), groupKiB() ?? .max)
  }

  private static func groupKiB() -> UInt64? {
    guard let group = text("/proc/self/cgroup")?.split(separator: "\n").first(where: { $0.hasPrefix("0::") }) else {
      return nil
    }
    let folder = "/sys/fs/cgroup" + group.dropFirst(3)
    func number(_ name: String) -> UInt64? {
      text("\(folder)/\(name)").flatMap { UInt64($0.prefix { $0.isNumber }) }
    }
    guard let most = number("memory.max"), let used = number("memory.current") else { return nil }
    return (most - min(most, used)) >> 10
  }

  private static func text(_ path: String) -> String? {
    guard let file = try? OpenFile.open(path, .read) else { return nil }
    var bytes = [UInt8](repeating: 0, count: 64 << 10)
    guard let count = try? unsafe bytes.withUnsafeMutableBytes({ try unsafe file.read(into: $0, at: 0) }) else {
      return nil
    }
    return String(decoding: bytes[..<count], as: UTF8.self)
  }
}
