import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

/// What a daemon and its workers persist, step by step, and which of these steps goes wrong: see `effects.c`, which is
/// loaded before them. The programs themselves know nothing of it.
final class Effects: Sendable {
  /// One planned fault. It fires once, in the first process that it fits.
  struct Fault: Sendable, Hashable {
    enum Role: String, Sendable { case daemon, worker, policy }

    var id: Int
    /// Armed only in a process that started after this one had fired.
    var after = 0
    var role: Role
    /// Which effect of its process, from 1. Negative: of those from the first write on that has `pattern` in it, which
    /// is -1.
    var step: Int
    /// As in `effects.c`: `kill`, `fail-28`, …
    var how: String
    /// What must stand in the order that a worker got, where `step` is not negative.
    var pattern = "*"

    fileprivate var line: String { "\(id) \(after) \(role.rawValue) \(step) \(how) \(pattern)\n" }
  }

  /// One line of the trace.
  struct Effect: Sendable {
    var nanoseconds: Int64
    var pid: Int32
    var role: String
    var number: Int
    var call: String
    var path: String

    init?(_ line: Substring) {
      let words = line.split(separator: " ", maxSplits: 5)
      guard words.count == 6, let time = Int64(words[0]), let pid = Int32(words[1]), let number = Int(words[3]) else {
        return nil
      }
      (nanoseconds, self.pid, role, self.number) = (time, pid, String(words[2]), number)
      (call, path) = (String(words[4]), String(words[5]))
    }

    /// What kind of step it is: the call and the path without what differs from run to run.
    var kind: String {
      let name = path.split(separator: "/").suffix(2).map { part in
        part.split(whereSeparator: { ".-_".contains($0) })
          .map { $0.contains(where: \.isNumber) || $0.utf8.count <= 2 ? "#" : String($0) }.joined(separator: ".")
      }
      return "\(call) \(name.joined(separator: "/"))"
    }
  }

  private let folder: String
  private let root: String
  /// How much faster the workers' clock for leases and pauses runs; the daemon's is as it is.
  private let speed: Int

  /// - Parameter folder: Of the host: what is persisted below it counts.
  init(in folder: String, speed: Int = 8) throws {
    self.folder = "\(folder)/effects"
    root = folder
    self.speed = speed
    try Folder.create(self.folder)
  }

  /// Nil where the programs run under a sanitizer, which must be loaded first, or there is no compiler.
  static let library: String? = {
    guard BuiltProducts.path("drover-worker") != nil else { return nil }
    // Not .so: the folder is one of plugins as well.
    let path = BuiltProducts.folder + "/drover-test-effects"
    let source = Bundle.module.resourcePath! + "/effects.c"
    let compiler = Process()
    compiler.executableURL = URL(filePath: "/usr/bin/env")
    compiler.arguments = ["cc", "-O1", "-shared", "-fPIC", "-o", "\(path).\(getpid())", source, "-ldl"]
    guard (try? compiler.run()) != nil else { return nil }
    compiler.waitUntilExit()
    guard compiler.terminationStatus == 0, (try? Folder.rename("\(path).\(getpid())", path)) != nil else { return nil }
    return path
  }()

  /// To be set before the processes start that it is about.
  func plan(_ faults: [Fault]) throws {
    try Folder.writeDurably("\(folder)/plan", Array(faults.map(\.line).joined().utf8))
  }

  func environment(_ role: Fault.Role) -> [String: String] {
    [
      "LD_PRELOAD": Self.library ?? "", "EFFECTS_ROOT": root, "EFFECTS_ROLE": role.rawValue, "EFFECTS_PLAN": folder,
      "EFFECTS_TRACE": "\(folder)/trace", "EFFECTS_SPEED": role == .worker ? String(speed) : "1",
    ]
  }

  var fired: Set<Int> {
    get throws {
      Set(try Folder.list(folder).filter { $0.hasPrefix("fired-") }.compactMap { Int($0.dropFirst(6)) })
    }
  }

  func trace() throws -> [Effect] {
    guard let text = try? String(contentsOfFile: "\(folder)/trace", encoding: .utf8) else { return [] }
    return text.split(separator: "\n").compactMap(Effect.init)
  }

  func forgetTrace() throws { try Folder.remove(file: "\(folder)/trace") }

  /// A folder with the daemon, and in the place of its children what starts them under the library.
  func programs(from bin: String) throws -> String {
    let own = "\(folder)/bin"
    guard try FileStatus.of(own) == nil else { return own }
    try Folder.create(own)
    if link("\(bin)/droverd", "\(own)/droverd") != 0 {
      try FileManager.default.copyItem(atPath: "\(bin)/droverd", toPath: "\(own)/droverd")
    }
    for (name, role) in [("drover-worker", Fault.Role.worker), ("drover-policy", .policy)] {
      let settings = environment(role).map { "export \($0.key)='\($0.value)'\n" }.sorted().joined()
      try Folder.writeDurably(
        "\(own)/\(name)", Array("#!/bin/sh\n\(settings)exec '\(bin)/\(name)' \"$@\"\n".utf8), permissions: 0o755)
    }
    return own
  }
}
