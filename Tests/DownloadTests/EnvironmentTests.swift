import Glibc
import StageKit
import TestKit
import Testing

/// Variables are the process's, so each of these tests has a process of its own.
@Suite struct EnvironmentTests {
  @Test func proxy() async {
    await #expect(processExitsWith: .success) {
      let proxy = try TestHTTPServer()
      let file = ServedFile([UInt8](repeating: 9, count: 4096))
      proxy.serve("http://only-the-proxy-knows.invalid/image", file)
      unsetenv("no_proxy")
      unsetenv("NO_PROXY")
      setenv("http_proxy", "http://127.0.0.1:\(proxy.port)", 1)
      #expect(try readAll(open("http://only-the-proxy-knows.invalid/image")) == file.bytes)

      setenv("no_proxy", "127.0.0.1", 1)
      let direct = try TestHTTPServer()
      direct.serve("/image", file)
      #expect(try readAll(open(direct.url("/image"))) == file.bytes)
      #expect(proxy.requests.count == 1)
    }
  }

  @Test func proxyThatWantsAPassword() async {
    await #expect(processExitsWith: .success) {
      let proxy = try TestHTTPServer()
      proxy.serve("http://host.invalid/image") { _ in ScriptedAnswer(407) }
      unsetenv("no_proxy")
      unsetenv("NO_PROXY")
      setenv("http_proxy", "http://user:hidden@127.0.0.1:\(proxy.port)", 1)
      let error = try failure { _ = try open("http://host.invalid/image") }
      #expect(error.code == "credentials-refused")
      #expect(!"\(error)".contains("hidden"))
    }
  }

  @Test func bundleOfAuthorities() async {
    await #expect(processExitsWith: .success) { try trustsAuthority(named: "CURL_CA_BUNDLE") }
  }

  @Test func fileOfAuthorities() async {
    await #expect(processExitsWith: .success) { try trustsAuthority(named: "SSL_CERT_FILE") }
  }
}

private func trustsAuthority(named variable: String) throws {
  for name in ["CURL_CA_BUNDLE", "SSL_CERT_FILE", "SSL_CERT_DIR"] { unsetenv(name) }
  guard let secure = try SecureServer.start(content: [UInt8](repeating: 9, count: 4096)) else { return }
  let url = "https://127.0.0.1:\(secure.port)/image"
  #expect(try failure { _ = try open(url) }.code == "certificate-refused")
  setenv(variable, secure.folder("ca.pem"), 1)
  #expect(try readAll(open(url)).count == 4096)
}
