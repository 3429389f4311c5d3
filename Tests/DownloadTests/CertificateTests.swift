import StageKit
import TestKit
import Testing

@Suite struct CertificateTests {
  let bytes: [UInt8]

  init() {
    var noise = Noise(seed: 4)
    bytes = noise.bytes(256 << 10)
  }

  @Test func ownAuthority() throws {
    guard let secure = try SecureServer.start(content: bytes) else { return }
    let device = try open("https://127.0.0.1:\(secure.port)/image", caFile: secure.folder("ca.pem"))
    #expect(try readAll(device) == bytes)
  }

  @Test func redirectFromPlainToSecure() throws {
    guard let secure = try SecureServer.start(content: bytes) else { return }
    let plain = try TestHTTPServer()
    let target = "https://127.0.0.1:\(secure.port)/image"
    plain.serve("/image") { _ in ScriptedAnswer(302, [("Location", target)]) }
    #expect(try readAll(open(plain.url("/image"), caFile: secure.folder("ca.pem"))) == bytes)
  }

  @Test func unknownAuthority() throws {
    guard let secure = try SecureServer.start(content: bytes) else { return }
    let error = try failure { _ = try open("https://127.0.0.1:\(secure.port)/image") }
    #expect(error.code == "certificate-refused")
    #expect(error.retry == .never)
    #expect(error.hint.contains("ca-file"))
  }

  @Test func certificateForAnotherName() throws {
    guard let secure = try SecureServer.start(content: bytes) else { return }
    let error = try failure {
      _ = try open("https://localhost:\(secure.port)/image", caFile: secure.folder("ca.pem"))
    }
    #expect(error.code == "certificate-refused")
  }

  @Test func authorityFileThatIsNone() throws {
    guard let secure = try SecureServer.start(content: bytes) else { return }
    for path in [secure.folder("missing.pem"), secure.folder("image"), secure.folder.path] {
      let error = try failure { _ = try open("https://127.0.0.1:\(secure.port)/image", caFile: path) }
      #expect(error.code == "invalid")
      #expect(error.retry == .never)
    }
  }

  @Test func plainServerAskedSecurely() throws {
    let plain = try TestHTTPServer()
    let error = try failure { _ = try open("https://127.0.0.1:\(plain.port)/image") }
    #expect(error.code == "network")
  }
}
