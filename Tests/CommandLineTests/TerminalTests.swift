import ControlAPI
import DroverModel
import Foundation
import Glibc
import TestKit
import Testing

@Suite struct TerminalTests {
  private let daemon: FakeDaemon

  init() throws {
    daemon = try FakeDaemon()
    try daemon.answer(
      "/v1/backingimages/parrot",
      inTurn: [
        image("parrot", .inProgress, job: "job-0123456789abcdef"),
        image("parrot", .inProgress, job: "job-0123456789abcdef"),
        image("parrot", .ready),
      ])
    try daemon.answer(
      "/v1/jobs/job-0123456789abcdef",
      job(
        .running,
        progress: .init(
          phase: "copying", bytesDone: 1 << 20, bytesTotal: 4 << 20, bytesPerSecond: 2_097_152, etaSeconds: 2)))
  }

  // <asm-generic/ioctls.h>: TIOCSPTLCK and TIOCGPTN.
  private static let setLock: UInt = 0x4004_5431
  private static let getNumber: UInt = 0x8004_5430

  /// What a terminal as standard error shows of `drover wait`.
  private func shown(_ environment: [String: String], _ more: [String] = []) throws -> String {
    let controller = open("/dev/ptmx", O_RDWR | O_NOCTTY)
    defer { close(controller) }
    var (number, unlocked) = (UInt32(0), Int32(0))
    #expect(ioctl(controller, Self.setLock, &unlocked) == 0 && ioctl(controller, Self.getNumber, &number) == 0)
    let terminal = open("/dev/pts/\(number)", O_RDWR | O_NOCTTY)
    var size = winsize(ws_row: 24, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0)
    #expect(ioctl(terminal, UInt(TIOCSWINSZ), &size) == 0)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: try #require(Output.program))
    process.arguments = ["wait", "bi/parrot", "--socket", daemon.folder("sock")] + more
    process.environment = ["TERM": "xterm"].merging(environment) { _, new in new }
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle(fileDescriptor: terminal, closeOnDealloc: false)
    try process.run()
    close(terminal)
    process.waitUntilExit()
    #expect(process.terminationStatus == 0)
    var text: [UInt8] = []
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = read(controller, &buffer, buffer.count), count > 0 { text += buffer[..<count] }
    return String(decoding: text, as: UTF8.self)
  }

  @Test func aBarIsDrawnAndTakenAway() throws {
    let text = try shown(["NO_COLOR": "1"])
    #expect(
      text.contains(
        "\rbackingimage/parrot  [#####---------------]  25%  1.0 MiB of 4.0 MiB, 2.0 MiB/s, 2s left, copying"
      )
        || text.contains(
          "\u{1B}[Kbackingimage/parrot  [#####---------------]  25%  1.0 MiB of 4.0 MiB, 2.0 MiB/s, 2s left, copying")
    )
    #expect(text.hasSuffix("\r\u{1B}[K"))
    #expect(!text.contains("\u{1B}[32m"))
  }

  @Test func colourUnlessItIsNotWanted() throws {
    #expect(try shown([:]).contains("\u{1B}[32m#####\u{1B}[0m"))
  }

  @Test func quietAndDumb() throws {
    #expect(try shown([:], ["-q"]).isEmpty)
  }

  @Test func aDumbTerminalIsNotDrawnOver() throws {
    #expect(try !shown(["TERM": "dumb"]).contains("\r"))
  }
}
