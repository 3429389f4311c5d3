import Foundation
import OpenSSL
import StageKit

/// Runs `body`, which must throw a `StageError`, and gives it back.
func stageError(_ body: () throws -> Void) throws -> StageError {
  do { try body() } catch let error as StageError { return error }
  throw Unexpected(description: "no error was thrown")
}

struct Unexpected: Error, CustomStringConvertible {
  var description: String
}

let qemuImage = ["/usr/bin/qemu-img", "/usr/local/bin/qemu-img"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

let qemuInputOutput = qemuImage.map { $0.replacing("qemu-img", with: "qemu-io") }

func run(_ program: String, _ arguments: [String]) throws {
  let process = try Process.run(URL(filePath: program), arguments: arguments)
  process.waitUntilExit()
  guard process.terminationStatus == 0 else {
    throw Unexpected(description: "\(program) ended with \(process.terminationStatus)")
  }
}

/// What the program wrote to its output.
func output(_ program: String, _ arguments: [String]) throws -> Data {
  let process = Process()
  process.executableURL = URL(filePath: program)
  process.arguments = arguments
  let pipe = Pipe()
  process.standardOutput = pipe
  try process.run()
  let all = try pipe.fileHandleForReading.readToEnd() ?? Data()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else {
    throw Unexpected(description: "\(program) ended with \(process.terminationStatus)")
  }
  return all
}

func sha512(_ bytes: [UInt8]) -> String { hexadecimal(bytes.withUnsafeBytes { SHA512.hash($0) }) }

/// 32 bytes for each 2 MiB.
func blockHashes(_ bytes: [UInt8]) -> [UInt8] {
  stride(from: 0, to: bytes.count, by: 2 << 20).flatMap { start in
    bytes[start..<min(start + 2 << 20, bytes.count)].withUnsafeBytes { BlockHash.hash($0) }
  }
}

func object(_ json: some Sequence<UInt8>) throws -> [String: Any] {
  guard let object = try JSONSerialization.jsonObject(with: Data(json)) as? [String: Any] else {
    throw Unexpected(description: "no JSON object")
  }
  return object
}

/// As `==`, but fast in a debug build too.
func same(_ one: [UInt8], _ other: some Sequence<UInt8>) -> Bool {
  let found = one.withUnsafeBytes { one in
    other.withContiguousStorageIfAvailable { other in
      one.count == other.count && (one.isEmpty || memcmp(one.baseAddress!, other.baseAddress!, one.count) == 0)
    }
  }
  return found ?? (one == Array(other))
}

func isZero(_ bytes: ArraySlice<UInt8>) -> Bool {
  bytes.withUnsafeBytes { bytes in
    bytes.isEmpty || (bytes[0] == 0 && memcmp(bytes.baseAddress!, bytes.baseAddress! + 1, bytes.count - 1) == 0)
  }
}
