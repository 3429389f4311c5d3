import ChildProtocol
import DroverModel
import Foundation
import LinuxSystem
import TestKit
import Testing

/// A worker makes an image by the clone stage, and one of its calls that change a file fails, or is its last. Every call in
/// turn.
@Suite(.serialized, .enabled(if: BuiltProducts.path("drover-worker") != nil, "this build has no worker"))
struct FaultTests {
  let folder = TemporaryFolder("faults")
  let pattern: CompiledPlugin
  let library: String
  let spawner = try! Spawner()
  static let content = (0..<(3 << 20)).map { UInt8($0 % 251) }

  init() throws {
    pattern = try CompiledPlugin("pattern", .c11, .current)
    library = folder("faults.so")
    try Compiler.run(["-shared", "-fPIC", "-o", library, "\(Repository.plugins)/faults.c", "-ldl"])
  }

  enum Ending: CaseIterable {
    case error, kill
  }

  struct Place {
    var folder: String
    var images: String { folder + "/images" }
    var mark: String { folder + "/mark" }

    func order(_ attempt: Int) -> JobOrder {
      JobOrder(
        mode: .run, job: "job-0000000000000001", attempt: attempt,
        pipeline: Pipeline(
          from: [.init("pattern", .source, ["size": "3145728"])],
          to: [
            .init(
              "clone", .sink, ["folder": .string(images + "/parrot-1"), "name": "parrot", "uuid": "1"])
          ]), jobFolder: folder + "/job", pluginFolders: [], concurrency: 2, stallSeconds: 30, hangSeconds: 600)
    }
  }

  /// The last report; nil where the worker ended without one.
  func attempt(_ number: Int, in place: Place, fault: Int?, ending: Ending) throws -> WorkerReport? {
    var environment = ["PATH": "/usr/bin:/bin"]
    if let path = ProcessInfo.processInfo.environment["LD_LIBRARY_PATH"] { environment["LD_LIBRARY_PATH"] = path }
    if let fault {
      environment["LD_PRELOAD"] = library
      environment["DROVER_FAULT_CALL"] = "\(fault)"
      environment["DROVER_FAULT_MARK"] = place.mark
      if ending == .kill { environment["DROVER_FAULT_KILL"] = "1" }
    }
    let child = try spawner.start(
      ChildProgram(
        path: try #require(BuiltProducts.path("drover-worker")), environment: environment)
    )
    var order = place.order(number)
    order.pluginFolders = [BuiltProducts.folder, pattern.folder.path]
    try child.channel.send(WorkerCommand.order(order))
    try child.channel.send(WorkerCommand.admitted)
    var last: WorkerReport?
    while let report = try? child.channel.receive(WorkerReport.self) {
      switch report {
      case .finished, .failed: last = report
      default: continue
      }
    }
    _ = try child.process.wait()
    return last
  }

  @Test(.timeLimit(.minutes(3)), arguments: Ending.allCases)
  func afterAnyFaultTheNextAttemptMakesTheImage(ending: Ending) throws {
    var faults = 0
    for call in 1...200 {
      let place = Place(folder: folder("\(ending)-\(call)"))
      try Folder.create(place.images)
      let report = try attempt(1, in: place, fault: call, ending: ending)
      guard try FileStatus.of(place.mark) != nil else {
        #expect(try content(report, place) == Self.content)
        break
      }
      faults += 1
      if ending == .kill { #expect(report == nil) }
      if case .failed(let fault) = report { #expect(fault.retry == .transient, "call \(call): \(fault)") }
      // What is in its place is whole, whatever happened.
      if try FileStatus.of(place.images + "/parrot-1") != nil {
        #expect(try Folder.readFile(place.images + "/parrot-1/backing", limit: 4 << 20) == Self.content)
        #expect(try Folder.list(place.images + "/parrot-1") == ["backing", "backing.blocks", "backing.cfg"])
      }
      let next = try attempt(2, in: place, fault: nil, ending: ending)
      #expect(try content(next, place) == Self.content, "after call \(call)")
      #expect(try Folder.list(place.images) == ["parrot-1"], "after call \(call)")
    }
    #expect(faults > 10 && faults < 200, "\(faults)")
  }

  func content(_ report: WorkerReport?, _ place: Place) throws -> [UInt8] {
    guard case .finished(let result) = report else { return Array("\(String(describing: report))".utf8) }
    #expect(result.values["path"]?.string == place.images + "/parrot-1/backing")
    #expect(result.values["checksum"]?.string == result.checksum)
    return try Folder.readFile(place.images + "/parrot-1/backing", limit: 4 << 20)
  }
}
