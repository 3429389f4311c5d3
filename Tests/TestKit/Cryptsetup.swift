import Foundation

/// The real cryptsetup, and an AES-XTS that is neither Drover's nor cryptsetup's: what Drover does must agree with both.
public enum Cryptsetup {
  /// Runs a program with these bytes on its standard input; returns what it printed.
  @discardableResult
  public static func run(_ program: String, _ arguments: [String], input: [UInt8] = []) throws -> [UInt8] {
    let process = Process()
    process.executableURL = URL(filePath: program)
    process.arguments = arguments
    // From a file: a pipe that is full on both sides would stop both programs.
    let folder = TemporaryFolder("input")
    try Data(input).write(to: URL(filePath: folder("input")))
    let (stdout, stderr) = (Pipe(), Pipe())
    process.standardInput = try FileHandle(forReadingFrom: URL(filePath: folder("input")))
    process.standardOutput = stdout
    process.standardError = stderr
    try process.run()
    let answer = try stdout.fileHandleForReading.readToEnd() ?? Data()
    let complaint = try stderr.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw Failed(
        description: "\(program) \(arguments.joined(separator: " ")): \(process.terminationStatus), "
          + String(decoding: complaint, as: UTF8.self))
    }
    return [UInt8](answer)
  }

  public struct Failed: Error, CustomStringConvertible {
    public var description: String
    public init(description: String) { self.description = description }
  }

  public static let program = ["/usr/sbin/cryptsetup", "/sbin/cryptsetup"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  public static func format(_ file: String, _ passphrase: [UInt8], _ options: [String]) throws {
    try run(
      program!, ["-q", "luksFormat", "--batch-mode"] + options + [file, "-d", "-"], input: passphrase)
  }

  /// An encrypted image of these bytes, whose length is a multiple of 512: a LUKS1 header as cryptsetup makes it, and
  /// the sectors by `OtherXTS`. Its key derivation is cheap and isn't timed, so that a busy machine makes it too.
  public static func image(_ file: String, of plain: [UInt8], _ passphrase: [UInt8]) throws {
    let dataOffset = 2 << 20
    try Data(count: dataOffset).write(to: URL(filePath: file))
    try format(file, passphrase, ["--type", "luks1", "--pbkdf-force-iterations", "1000"])
    let key = try volumeKey(file, passphrase)
    let handle = try FileHandle(forWritingTo: URL(filePath: file))
    try handle.seek(toOffset: UInt64(dataOffset))
    try handle.write(contentsOf: Data(OtherXTS.apply(plain, key: key, encrypt: true, sectorSize: 512)))
    try handle.close()
  }

  public static func dump(_ file: String) throws -> String {
    String(decoding: try run(program!, ["luksDump", file]), as: UTF8.self)
  }

  public static func opens(_ file: String, _ passphrase: [UInt8]) -> Bool {
    (try? run(program!, ["open", "--test-passphrase", file, "-d", "-"], input: passphrase)) != nil
  }

  public static func volumeKey(_ file: String, _ passphrase: [UInt8]) throws -> [UInt8] {
    let text = String(
      decoding: try run(
        program!, ["-q", "luksDump", "--dump-volume-key", file, "-d", "-"], input: passphrase), as: UTF8.self)
    guard let start = text.range(of: "MK dump:") else { throw Failed(description: "no key in \(text)") }
    return text[start.upperBound...].split(whereSeparator: \.isWhitespace).compactMap { UInt8($0, radix: 16) }
  }
}

/// AES-XTS block by block, over AES of the `openssl` program: slow, and as the standard has it.
public enum OtherXTS {
  /// - Parameter first: Number of the first sector, in units of 512 bytes.
  public static func apply(
    _ bytes: [UInt8], key: [UInt8], encrypt: Bool, sectorSize: Int, first: UInt64 = 0
  ) throws -> [UInt8] {
    // Tweak by tweak: the first block of each sector's tweak is its number enciphered with the key's second half.
    let half = key.count / 2
    let cipher = half == 16 ? "-aes-128-ecb" : "-aes-256-ecb"
    func ecb(_ bytes: [UInt8], _ key: ArraySlice<UInt8>, encrypt: Bool) throws -> [UInt8] {
      let hex = key.map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
      return try Cryptsetup.run(
        "/usr/bin/openssl", ["enc", cipher, encrypt ? "-e" : "-d", "-nopad", "-K", hex], input: bytes)
    }
    var numbers: [UInt8] = []
    for sector in 0..<(bytes.count / sectorSize) {
      var number = first + UInt64(sector * sectorSize / 512)
      for _ in 0..<16 {
        numbers.append(UInt8(truncatingIfNeeded: number))
        number >>= 8
      }
    }
    let first = try ecb(numbers, key[half...], encrypt: true)
    var tweaks: [UInt8] = []
    tweaks.reserveCapacity(bytes.count)
    for sector in 0..<(bytes.count / sectorSize) {
      var tweak = Array(first[(sector * 16)..<(sector * 16 + 16)])
      for _ in 0..<(sectorSize / 16) {
        tweaks += tweak
        var carry: UInt8 = 0
        for index in 0..<16 {
          let next = tweak[index] >> 7
          tweak[index] = tweak[index] << 1 | carry
          carry = next
        }
        if carry != 0 { tweak[0] ^= 0x87 }
      }
    }
    let masked = zip(bytes, tweaks).map { $0 ^ $1 }
    return zip(try ecb(masked, key[..<half], encrypt: encrypt), tweaks).map { $0 ^ $1 }
  }
}
