import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

@testable import Runner

/// Shared objects that are compiled here from a few lines of C each.
@Suite struct PluginLoadingTests {
  private let folder = TemporaryFolder("plugins")

  /// A plugin that is good but for what `change` puts in place of the default lines.
  private static func source(_ changes: [String: String] = [:], entry: String = "drover_plugin_v1") -> String {
    func value(_ name: String, _ usual: String) -> String { changes[name] ?? usual }
    return """
      #include "drover_plugin.h"
      #include <stddef.h>
      static int info(void *h, drover_device_info *i, drover_error *e) { return 0; }
      static int64_t rd(void *h, void *b, uint64_t l, uint64_t o, drover_error *e) { return 0; }
      static int wr(void *h, const void *b, uint64_t l, uint64_t o, drover_error *e) { return 0; }
      static int zr(void *h, uint64_t o, uint64_t l, drover_error *e) { return 0; }
      static int fl(void *h, drover_error *e) { return 0; }
      static int cm(void *h, const drover_commit *c, drover_error *e) { return 0; }
      static void cl(void *h) {}
      static int op(const struct drover_stage *s, const drover_host *h, const drover_open *o, void **p,
                    drover_error *e) { return 0; }
      static const drover_device_ops ops = {
        .struct_size = \(value("ops.struct_size", "sizeof(drover_device_ops)")), .info = \(value("info", "info")),
        .pread = \(value("pread", "rd")), .pwrite = \(value("pwrite", "wr")), .zero = \(value("zero", "zr")),
        .flush = \(value("flush", "fl")), .commit = \(value("commit", "cm")), .close = \(value("close", "cl"))};
      static const drover_stage stage = {
        .struct_size = \(value("stage.struct_size", "sizeof(drover_stage)")), .name = \(value("stage.name", "\"tiny\"")),
        .summary = "a tiny stage", .roles = \(value("roles", "DROVER_ROLE_SOURCE | DROVER_ROLE_SINK")),
        .threads = \(value("threads", "DROVER_THREADS_PARALLEL")), .flags = DROVER_STAGE_NETWORK,
        .params = \(value("params", "\"{\\\"path\\\":{\\\"required\\\":true}}\"")), .open = \(value("open", "op")),
        .device = \(value("device", "&ops")), .run = \(value("run", "NULL"))};
      static const drover_stage *const stages[] = {\(value("stages", "&stage"))};
      static const drover_plugin plugin = {
        .struct_size = \(value("struct_size", "sizeof(drover_plugin)")), .abi_major = \(value("abi_major", "1")),
        .abi_minor = \(value("abi_minor", "0")), .required_minor = \(value("required_minor", "0")),
        .stage_count = \(value("stage_count", "1")), .name = \(value("name", "\"tiny\"")),
        .version = \(value("version", "\"9.1\"")), .stages = \(value("stages_pointer", "stages"))};
      __attribute__((visibility("default"))) const drover_plugin *\(entry)(void) { return \(value("plugin", "&plugin")); }
      """
  }

  private func build(_ source: String, as name: String = "libdrover-stage-tiny.so", in sub: String = "") throws
    -> String
  {
    let header = try #require(Self.headerFolder)
    let place = sub.isEmpty ? folder.path : folder(sub)
    try Folder.create(place, permissions: 0o755)
    let text = "\(place)/\(name).c"
    try Folder.writeDurably(text, Array(source.utf8))
    let compiler = Process()
    compiler.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    compiler.arguments = ["cc", "-shared", "-fPIC", "-w", "-I", header, "-o", "\(place)/\(name)", text]
    try compiler.run()
    compiler.waitUntilExit()
    try #require(compiler.terminationStatus == 0)
    chmod("\(place)/\(name)", 0o755)
    return "\(place)/\(name)"
  }

  private static let headerFolder: String? = {
    let root = #filePath.components(separatedBy: "/Tests/RunnerTests/")[0]
    let path = "\(root)/Sources/CDroverPlugin/include"
    return FileManager.default.fileExists(atPath: path + "/drover_plugin.h") ? path : nil
  }()

  @Test func aGoodOneIsLoadedAndDescribed() throws {
    let report = PluginReport(inspecting: try build(Self.source()))
    #expect(report.refused == nil)
    #expect(report.name == "tiny")
    #expect(report.version == "9.1")
    #expect(report.abi == "1.0")
    let stage = try #require(report.stages.first)
    #expect(stage.name == "tiny")
    #expect(stage.summary == "a tiny stage")
    #expect(stage.roles == [.source, .sink])
    #expect(stage.parallel)
    #expect(stage.network)
    #expect(stage.params?["path"]?["required"] == true)
  }

  static let refusals: [(changes: [String: String], words: [String])] = [
    (["struct_size": "16"], ["drover_plugin.struct_size is 16"]),
    (["abi_major": "2"], ["abi_major is 2", "has 1"]),
    (["required_minor": "7", "abi_minor": "9"], ["required_minor is 7", "minor version 1"]),
    (["stage_count": "0"], ["stage_count is 0"]),
    (["stage_count": "65"], ["stage_count is 65"]),
    (["stages_pointer": "NULL"], ["stages is NULL"]),
    (["stages": "NULL"], ["stages[0] is NULL"]),
    (["stages": "&stage, &stage", "stage_count": "2"], ["stages[1].name is `tiny`"]),
    (["name": "\"Tiny\""], ["drover_plugin.name is `Tiny`"]),
    (["name": "NULL"], ["drover_plugin.name is NULL"]),
    (["version": "NULL"], ["version is NULL"]),
    (["plugin": "NULL"], ["returned NULL"]),
    (["stage.struct_size": "24"], ["drover_stage.struct_size is 24"]),
    (["stage.name": "\"a_b\""], ["drover_stage.name is `a_b`"]),
    (["stage.name": "\"x\""], ["drover_stage.name is `x`"]),
    (["roles": "0x80"], ["roles is 128"]),
    (["threads": "2"], ["threads is 2"]),
    (["params": "\"[]\""], ["params is no JSON object"]),
    (["params": "\"{\""], ["params is no JSON object"]),
    (["open": "NULL"], ["open is NULL"]),
    (["device": "NULL"], ["device is NULL"]),
    (["ops.struct_size": "40"], ["drover_device_ops.struct_size is 40"]),
    (["info": "NULL"], ["device.info is NULL"]),
    (["close": "NULL"], ["device.close is NULL"]),
    (["pread": "NULL"], ["device.pread is NULL"]),
    (["pwrite": "NULL"], ["device.pwrite is NULL"]),
    (["zero": "NULL"], ["device.zero is NULL"]),
    (["flush": "NULL"], ["device.flush is NULL"]),
    (["commit": "NULL"], ["device.commit is NULL"]),
    (["roles": "DROVER_ROLE_TASK"], ["run is NULL"]),
  ]

  @Test func eachMismatchIsRefusedByTheNameOfTheField() throws {
    for (index, (changes, words)) in Self.refusals.enumerated() {
      let path = try build(Self.source(changes), as: "libdrover-stage-tiny\(index).so")
      let fault = PluginReport(inspecting: path).refused
      #expect(fault?.code == .pluginRefused, "\(changes)")
      #expect(fault?.message.hasPrefix("plugin \(path)") == true, "\(changes)")
      for word in words { #expect(fault?.message.contains(word) == true, "\(fault?.message ?? "loaded")") }
    }
  }

  @Test func aStructThatGrewIsReadAsFarAsItIsKnown() throws {
    let report = PluginReport(
      inspecting: try build(Self.source(["abi_minor": "3", "required_minor": "0", "roles": "0x85"])))
    #expect(report.refused == nil)
    #expect(report.abi == "1.3")
    #expect(report.stages.first?.roles == [.source, .sink])
  }

  @Test func whatIsNoPluginIsRefused() throws {
    let other = try build(Self.source(entry: "drover_plugin_v7"), as: "other.so")
    #expect(PluginReport(inspecting: other).refused?.message.contains("symbol drover_plugin_v1 is missing") == true)
    let text = folder("text.so")
    try Folder.writeDurably(text, Array("no ELF".utf8))
    #expect(PluginReport(inspecting: text).refused?.code == .pluginRefused)
    #expect(PluginReport(inspecting: folder("absent.so")).refused?.code == .notFound)
    let needy = try build(
      "extern int nobody_has_this(void); int call(void) { return nobody_has_this(); }", as: "needy.so")
    #expect(PluginReport(inspecting: needy).refused?.message.contains("nobody_has_this") == true)
    #expect(PluginReport(inspecting: folder.path).refused?.message.contains("no regular file") == true)
  }

  @Test func whatOthersCanWriteIsNeverLoaded() throws {
    // The constructor would leave a mark.
    let mark = folder("mark")
    let trap = """
      #include <stdio.h>
      __attribute__((constructor)) static void spring(void) { FILE *f = fopen("\(mark)", "w"); if (f) fclose(f); }
      """
    let path = try build(Self.source() + "\n" + trap, in: "inner")
    func refusal() -> String? { PluginReport(inspecting: path).refused?.message }
    chmod(path, 0o775)
    #expect(refusal()?.contains("can be written by others (mode 775)") == true)
    chmod(path, 0o755)
    chmod(folder("inner"), 0o777)
    #expect(refusal()?.contains("\(folder("inner")) can be written by others (mode 777)") == true)
    chmod(folder("inner"), 0o755)
    chmod(folder.path, 0o770)
    #expect(refusal()?.contains("can be written by others") == true)
    chmod(folder.path, 0o700)
    let link = folder("link.so")
    symlink(path, link)
    chmod(path, 0o757)
    #expect(PluginReport(inspecting: link).refused?.message.contains("mode 757") == true)
    #expect(try FileStatus.of(mark) == nil)
    chmod(path, 0o755)
    #expect(PluginReport(inspecting: link).refused == nil)
    #expect(try FileStatus.of(mark) != nil)
  }

  @Test func whatBelongsToAnotherUserIsNeverLoaded() throws {
    guard geteuid() == 0 else {
      print("skipped: only root can give a file away")
      return
    }
    let path = try build(Self.source())
    try #require(chown(path, 65534, 65534) == 0)
    let fault = PluginReport(inspecting: path).refused
    #expect(fault?.message.contains("belongs to user 65534") == true)
    #expect(fault?.hint?.contains("chown") == true)
  }

  @Test func aStageIsFoundByFileNameFirstAndThenInTheOthers() throws {
    _ = try build(Self.source(["name": "\"first\"", "version": "\"1\""]), as: "a.so", in: "one")
    _ = try build(Self.source(["name": "\"second\"", "version": "\"2\""]), in: "two")
    var library = PluginLibrary(folders: [folder("one"), folder("two"), folder("absent")])
    #expect(try library.stage(named: "tiny").plugin == folder("two") + "/libdrover-stage-tiny.so")
    var alone = PluginLibrary(folders: [folder("one")])
    #expect(try alone.stage(named: "tiny").plugin == folder("one") + "/a.so")
  }

  @Test func aMissingStageTellsWhatWasRefusedOnTheWay() throws {
    _ = try build(Self.source(["abi_major": "3"]), as: "old.so")
    var library = PluginLibrary(folders: [folder.path])
    let fault = #expect(throws: Fault.self) { try library.stage(named: "elsewhere") }
    #expect(fault?.code == .unknownStage)
    #expect(fault?.message.contains("`elsewhere`") == true)
    #expect(fault?.message.contains("abi_major is 3") == true)
    #expect(throws: Fault.self) { try library.stage(named: "../../etc/x") }
    _ = try build(Self.source(["threads": "5"]))
    let refused = #expect(throws: Fault.self) { try library.stage(named: "tiny") }
    #expect(refused?.code == .pluginRefused)
  }
}
