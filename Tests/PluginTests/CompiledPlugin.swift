import CDroverPlugin
import Foundation
import TestKit
import Testing

/// Where the repository's files lie, found from this one.
enum Repository {
  static let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().path
  static let header = root + "/Sources/CDroverPlugin/include"
  static let plugins = Bundle.module.resourcePath! + "/Plugins"

  static func read(_ path: String) throws -> String { try String(contentsOfFile: path, encoding: .utf8) }
}

/// How a plugin's author may compile: which language, and against which release of the header.
enum Dialect: String, CaseIterable {
  case c11, cpp20

  var arguments: [String] {
    let strict = ["-Wall", "-Wextra", "-pedantic", "-Werror"]
    return switch self {
    case .c11: ["-x", "c", "-std=c11"] + strict
    // C++ warns of fields that a designated initializer leaves out; C does not.
    case .cpp20: ["-x", "c++", "-std=c++20", "-Wno-missing-field-initializers"] + strict
    }
  }
}

enum Header: String, CaseIterable {
  case current, released1_0

  var folder: String {
    switch self {
    case .current: Repository.header
    case .released1_0: Repository.plugins + "/ABI-1.0"
    }
  }
}

struct Compiler {
  /// `cc`, or the clang that every Swift toolchain brings.
  static let path = ["cc", "clang"].lazy.compactMap { name in
    (ProcessInfo.processInfo.environment["PATH"] ?? "/usr/bin").split(separator: ":").map { "\($0)/\(name)" }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }.first

  static func run(_ arguments: [String], in folder: String = "/") throws {
    let process = Process()
    process.executableURL = URL(filePath: try #require(path, "no C compiler in PATH"))
    process.arguments = arguments
    process.currentDirectoryURL = URL(filePath: folder)
    let output = Pipe()
    process.standardError = output
    try process.run()
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0, "\(arguments.joined(separator: " "))\n\(text)")
  }
}

/// A plugin of this folder, compiled and loaded as the runner would. It stays loaded.
struct CompiledPlugin {
  let folder = TemporaryFolder("plugin")
  let path: String
  let descriptor: UnsafePointer<drover_plugin>

  init(_ name: String, _ dialect: Dialect, _ header: Header) throws {
    path = folder("libdrover-stage-\(name).so")
    try Compiler.run(
      dialect.arguments + [
        "-shared", "-fPIC", "-fvisibility=hidden", "-I", header.folder, "-o", path,
        "\(Repository.plugins)/\(name).c",
      ])
    let library = try #require(dlopen(path, RTLD_NOW | RTLD_LOCAL), "\(String(cString: dlerror()))")
    let entry = try #require(dlsym(library, DROVER_PLUGIN_ENTRY_NAME))
    typealias Entry = @convention(c) () -> UnsafePointer<drover_plugin>?
    descriptor = try #require(unsafeBitCast(entry, to: Entry.self)())
  }

  func stage(_ index: Int = 0) -> HostedStage { HostedStage(descriptor.pointee.stages[index]!) }
}
