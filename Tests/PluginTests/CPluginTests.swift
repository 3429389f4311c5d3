import CDroverPlugin
import Foundation
import StageKit
import Synchronization
import TestKit
import Testing

/// Plugins in C and C++ that know nothing but the header.
@Suite struct CPluginTests {
  @Test(arguments: Header.allCases, [["-x", "c", "-std=c11"], ["-x", "c++", "-std=c++11"], ["-x", "c", "-std=c99"]])
  func theHeaderStandsAlone(header: Header, language: [String]) throws {
    try Compiler.run(
      language + [
        "-Wall", "-Wextra", "-pedantic", "-Werror", "-fsyntax-only", header.folder + "/drover_plugin.h",
      ])
  }

  @Test func theReleasedHeaderStillDescribesTheSameBytes() throws {
    let folder = TemporaryFolder("layout")
    var printed: [String] = []
    for header in Header.allCases {
      let program = folder(header.rawValue)
      try Compiler.run(
        Dialect.c11.arguments + ["-I", header.folder, "-o", program, "\(Repository.plugins)/layout.c"])
      let process = Process()
      process.executableURL = URL(filePath: program)
      let output = Pipe()
      process.standardOutput = output
      try process.run()
      printed.append(String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self))
      process.waitUntilExit()
    }
    #expect(printed[0] == printed[1])
    #expect(printed[0].split(separator: "\n").count > 100)
  }

  @Test(arguments: Dialect.allCases, Header.allCases)
  func aSourceInC(dialect: Dialect, header: Header) throws {
    let plugin = try CompiledPlugin("pattern", dialect, header)
    #expect(plugin.descriptor.pointee.abi_major == DROVER_PLUGIN_ABI_MAJOR)
    let stage = plugin.stage()
    #expect(stage.name == "pattern")
    #expect(try stage.plan(DROVER_ROLE_SOURCE, #"{"size":"4096"}"#).size == 4096)
    let device = try stage.open(DROVER_ROLE_SOURCE, #"{ "size" : 1000448 }"#)
    let info = try device.info()
    #expect(info.size == 1_000_448 && info.block_min == 1 && String(cString: info.identity) == "pattern")
    #expect(try device.read(4, at: 250) == [250, 0, 1, 2])
    for params in ["{}", #"{"size":""}"#, #"{"size":"-1"}"#, #"{"size":"x"}"#, #"{"size":"99999999999999999999"}"#] {
      let failure = try failure { _ = try stage.open(DROVER_ROLE_SOURCE, params) }
      #expect(failure.code == "invalid" && failure.domain == "pattern" && failure.retry == DROVER_RETRY_NEVER)
      #expect(failure.message == "parameter size is no number")
    }
  }

  @Test(arguments: Dialect.allCases, Header.allCases)
  func aFilterInCOverASourceInC(dialect: Dialect, header: Header) throws {
    let pattern = try CompiledPlugin("pattern", .c11, .current).stage()
    let xor = try CompiledPlugin("xor", dialect, header).stage()
    let lower = try pattern.open(DROVER_ROLE_SOURCE, #"{"size":"4096"}"#)
    let device = try xor.open(DROVER_ROLE_FILTER, #"{"key":"255"}"#, lower: lower)
    #expect(try device.info().size == 4096)
    #expect(try device.info().identity == nil)
    #expect(try device.read(3, at: 251) == [255, 254, 253])
    #expect(xor.host.records.withLock { $0 } == ["log 0 xor is open"])
    #expect(try failure { _ = try xor.open(DROVER_ROLE_FILTER, "{}", lower: lower) }.code == "invalid")
    #expect(try failure { _ = try xor.open(DROVER_ROLE_FILTER, #"{"key":1}"#) }.code == "internal")
  }

  @Test func aFilterInCOverASinkInSwift() throws {
    let memory = HostedStage(try #require(Samples.plugin.descriptor.pointee.stages[0]))
    let xor = try CompiledPlugin("xor", .c11, .current).stage()
    let sink = try memory.open(DROVER_ROLE_SINK, #"{"size":10000}"#)
    let device = try xor.open(DROVER_ROLE_FILTER, #"{"key":"0x0F"}"#, lower: sink)
    #expect(try device.info().flags & DROVER_DEVICE_WRITABLE != 0)
    let bytes = (0..<5000).map { UInt8(truncatingIfNeeded: $0) }
    try device.write(bytes, at: 100)
    try device.zero(5100, 4900)
    try device.flush()
    #expect(try sink.read(5000, at: 100) == bytes.map { $0 ^ 0x0F })
    #expect(try sink.read(4900, at: 5100) == .init(repeating: 0x0F, count: 4900))
    #expect(try device.read(5000, at: 100) == bytes)
    let failure = try failure { try device.write([1], at: 10000) }
    #expect(failure.code == "out-of-range" && failure.domain == "memory")
  }
}

/// Runs `body`, which must fail over the ABI, and gives back how.
func failure(_ body: () throws -> Void) throws -> PluginFailure {
  do { try body() } catch let failure as PluginFailure { return failure }
  struct NothingFailed: Error {}
  throw NothingFailed()
}
