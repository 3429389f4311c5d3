import ControlAPI
import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit
import Testing

private func secret(_ name: String, namespace: String = "longhorn-system") -> Resource {
  Resource(
    apiVersion: "v1", kind: "Secret",
    metadata: .init(name: name, namespace: namespace, creationTimestamp: "2020-01-05T10:00:02Z"),
    spec: ["type": "Opaque"], status: ["keys": ["CRYPTO_KEY_VALUE"]])
}

@Suite struct SecretCommandTests {
  private let daemon: FakeDaemon
  init() throws { daemon = try FakeDaemon() }

  /// Nothing there before, and everything taken.
  private func takes(_ path: String, _ resource: Resource) throws {
    let taken = try Array(APIJSON.encode(applied(.created, resource)).utf8)
    let absent = try Array(APIJSON.encode(ErrorResponse(Fault(.notFound, "none"))).utf8)
    daemon.server.serve(path) { request in
      request.method == "GET" ? ScriptedAnswer(404, body: absent) : ScriptedAnswer(201, body: taken)
    }
  }

  private func sent() throws -> JSONValue {
    let request = try #require(daemon.server.requests.last { $0.method == "PUT" })
    return try APIJSON.decode(JSONValue.self, from: String(decoding: request.body, as: UTF8.self))
  }

  @Test(arguments: ["pass phrase", "with a line end\n", "\n", "bytes \u{e4}\u{0}\u{1}\n\n"])
  func theBytesOfADescriptorAreTakenExactly(passphrase: String) throws {
    try takes("/v1/secrets/prod/key", secret("key", namespace: "prod"))
    let output = try daemon.run("secret", "create", "prod/key", "--passphrase-fd", "0", input: passphrase)
    #expect(output.status == 0, "\(output.error)")
    #expect(output.out == "secret/key created\n")
    let manifest = try sent()
    #expect(manifest["apiVersion"] == "v1" && manifest["kind"] == "Secret")
    #expect(manifest["metadata"] == ["name": "key", "namespace": "prod"])
    let value = try #require(manifest["data"]?["CRYPTO_KEY_VALUE"]?.string)
    #expect(Data(base64Encoded: value) == Data(passphrase.utf8))
    #expect(!(output.out + output.error).contains(passphrase.trimmingCharacters(in: .newlines)) || passphrase == "\n")
  }

  @Test func theDefaultNamespaceNeedsNoWord() throws {
    try takes("/v1/secrets/key", secret("key"))
    #expect(try daemon.run("secret", "create", "key", "--passphrase-fd", "0", input: "x").status == 0)
    #expect(try daemon.run("secret", "create", "longhorn-system/key", "--passphrase-fd", "0", input: "x").status == 0)
    #expect(try sent()["metadata"]?["namespace"] == "longhorn-system")
  }

  @Test func whatCanNotBeMade() throws {
    try takes("/v1/secrets/key", secret("key"))
    #expect(try daemon.run("secret", "create", "key", "--passphrase-fd", "0", input: "").status == 2)
    #expect(try daemon.run("secret", "create", "a/b/c", "--passphrase-fd", "0", input: "x").status == 2)
    #expect(try daemon.run("secret", "create", "key", "--passphrase-fd", "77", input: "x").status == 1)
    #expect(!daemon.server.requests.contains { $0.method == "PUT" })
    try daemon.answer("/v1/secrets/there", secret("there"))
    #expect(try daemon.run("secret", "create", "there", "--passphrase-fd", "0", input: "x").status == 5)
  }

  @Test func secretsAreNamedWithAndWithoutTheirNamespace() throws {
    try daemon.answer("/v1/secrets/key", secret("key"))
    try daemon.answer("/v1/secrets/prod/key", secret("key", namespace: "prod"))
    for words in [["secret", "key"], ["secret/key"], ["secrets", "longhorn-system/key"]] {
      #expect(try Output.of(["get"] + words + ["-o", "name"], socket: daemon.folder("sock")).out == "secret/key\n")
      #expect(daemon.server.requests.last?.path == "/v1/secrets/key")
    }
    for words in [["secret", "prod/key"], ["secret/prod/key"]] {
      let output = try Output.of(["get"] + words, socket: daemon.folder("sock"))
      let rows = output.out.split(separator: "\n").map { $0.split(separator: " ").dropLast().map(String.init) }
      #expect(rows == [["NAME", "NAMESPACE", "TYPE", "KEYS"], ["key", "prod", "Opaque", "CRYPTO_KEY_VALUE"]])
      #expect(daemon.server.requests.last?.path == "/v1/secrets/prod/key")
    }
    try daemon.answer("/v1/secrets", ResourceList([secret("key"), secret("key", namespace: "prod")]))
    #expect(try daemon.run("get", "secret").out.split(separator: "\n").count == 3)
    #expect(try daemon.run("get", "secret", "a/b/c").status == 2)
  }

  @Test func aSecretIsAppliedToTheRightPath() throws {
    try takes("/v1/secrets/prod/key", secret("key", namespace: "prod"))
    let manifest = """
      apiVersion: v1
      kind: Secret
      metadata: {name: key, namespace: prod}
      stringData: {CRYPTO_KEY_VALUE: hunter2}
      """
    let output = try daemon.run("apply", "-f", "-", input: manifest)
    #expect(output.out == "secret/key created\n", "\(output.error)")
    let broken = try daemon.run("apply", "-f", "-", "-o", "json", input: manifest + "\nspec: {}\nfoo: hunter2\n")
    #expect(!(broken.out + broken.error).contains("hunter2"))
  }

  @Test(
    arguments: [
      (
        ["--from-image", "macaw", "--encrypt", "--secret", "prod/key"],
        [
          "sourceType": "clone",
          "sourceParameters": [
            "backing-image": "macaw", "encryption": "encrypt", "secret": "key", "secret-namespace": "prod",
          ],
        ]
      ),
      (
        ["--from-image", "macaw", "--decrypt", "--secret", "key"],
        [
          "sourceType": "clone",
          "sourceParameters": [
            "backing-image": "macaw", "encryption": "decrypt", "secret": "key", "secret-namespace": "longhorn-system",
          ],
        ]
      ),
      (
        ["--from-image", "macaw", "--rekey", "--secret", "prod/old", "--new-secret", "prod/new"],
        [
          "sourceType": "clone",
          "sourceParameters": [
            "backing-image": "macaw", "encryption": "rekey", "secret": "old", "secret-namespace": "prod",
            "new-secret": "new", "new-secret-namespace": "prod",
          ],
        ]
      ),
      (
        ["--from-backup", "file:///s?backingImage=ab", "--decrypt", "--secret", "prod/key"],
        [
          "sourceType": "restore",
          "sourceParameters": [
            "backup-url": "file:///s?backingImage=ab", "encryption": "decrypt", "secret": "key",
            "secret-namespace": "prod",
          ],
        ]
      ),
    ] as [([String], JSONValue)])
  func images(arguments: [String], spec: JSONValue) throws {
    try daemon.answer("/v1/backingimages/parrot", 201, applied(.created, image("parrot", .pending)))
    let output = try Output.of(["image", "create", "parrot"] + arguments, socket: daemon.folder("sock"))
    #expect(output.status == 0, "\(output.error)")
    #expect(try sent()["spec"] == spec)
  }

  @Test(arguments: [
    ["--from-image", "ab", "--encrypt"], ["--from-image", "ab", "--secret", "key"],
    ["--from-image", "ab", "--encrypt", "--decrypt", "--secret", "key"],
    ["--from-url", "http://h/x", "--encrypt", "--secret", "key"],
    ["--from-backup", "file:///s?backingImage=ab", "--rekey", "--secret", "key", "--new-secret", "new"],
    ["--from-image", "ab", "--rekey", "--secret", "key"],
    ["--from-image", "ab", "--encrypt", "--secret", "key", "--new-secret", "new"],
    ["--from-image", "ab", "--encrypt", "--secret", "Key/"],
  ])
  func flagsThatDoNotGoTogether(arguments: [String]) throws {
    let output = try Output.of(["image", "create", "parrot"] + arguments, socket: daemon.folder("sock"))
    #expect(output.status == 2, "\(output.error)")
    #expect(daemon.server.requests.isEmpty)
  }

  @Test func aDryRunWaitsInThoughtForASecretOfTheSameFile() throws {
    try takes("/v1/secrets/prod/key", secret("key", namespace: "prod"))
    let missing = Fault(.keyMissing, "failed to get the secret key in the namespace prod", retry: .afterFix)
    let refusal = try Array(APIJSON.encode(ErrorResponse(missing)).utf8)
    let absent = try Array(APIJSON.encode(ErrorResponse(Fault(.notFound, "none"))).utf8)
    daemon.server.serve("/v1/backingimages/sealed") { request in
      ScriptedAnswer(request.method == "GET" ? 404 : 422, body: request.method == "GET" ? absent : refusal)
    }
    let sealed = """
      apiVersion: longhorn.io/v1beta2
      kind: BackingImage
      metadata: {name: sealed}
      spec:
        sourceType: clone
        sourceParameters: {backing-image: parrot, encryption: encrypt, secret: key, secret-namespace: prod}

      """
    let key = """
      apiVersion: v1
      kind: Secret
      metadata: {name: key, namespace: prod}
      stringData: {CRYPTO_KEY_VALUE: hunter2}
      ---

      """
    let both = try daemon.run("apply", "--dry-run", "-f", "-", input: key + sealed)
    #expect(both.status == 0, "\(both.error)")
    #expect(both.out == "secret/key created (dry run)\nbackingimage/sealed created (dry run)\n")
    #expect(try daemon.run("apply", "--dry-run", "-f", "-", input: sealed).status == 8)
  }

  // MARK: At a terminal

  /// A pseudo-terminal that `drover` is asked at; what it shows is kept.
  private final class Terminal {
    let master: OpenFile
    let process: ChildProcess
    // <asm-generic/ioctls.h>: TIOCSPTLCK and TIOCGPTN.
    private static let setLock: UInt = 0x4004_5431
    private static let getNumber: UInt = 0x8004_5430
    private(set) var shown = ""

    init(_ arguments: [String], socket: String) throws {
      let controller = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
      master = OpenFile(adopting: controller, path: "/dev/ptmx")
      var (number, unlocked) = (UInt32(0), Int32(0))
      try #require(ioctl(controller, Self.setLock, &unlocked) == 0 && ioctl(controller, Self.getNumber, &number) == 0)
      let path = "/dev/pts/\(number)"
      let end = OpenFile(adopting: open(path, O_RDWR | O_NOCTTY | O_CLOEXEC), path: path)
      // In a session of its own, whose terminal this becomes.
      process = try ChildProcess.spawn(
        "/usr/bin/setsid", arguments: ["setsid", "--ctty", "--wait", try #require(Output.program)] + arguments,
        environment: ["PATH": "/usr/bin:/bin", "DROVER_SOCKET": socket, "TERM": "xterm"],
        descriptors: [(end.descriptor, 0), (end.descriptor, 1), (end.descriptor, 2)])
    }

    /// Reads until the text was shown, or the other end is closed.
    func see(_ text: String) throws {
      let deadline = BootClock.seconds() + 60
      var buffer = [UInt8](repeating: 0, count: 4096)
      while !shown.contains(text) {
        try #require(BootClock.seconds() < deadline, "never shown: \(text); shown: \(shown)")
        var wanted = pollfd(fd: master.descriptor, events: Int16(POLLIN), revents: 0)
        guard poll(&wanted, 1, 200) > 0 else { continue }
        let count = read(master.descriptor, &buffer, buffer.count)
        guard count > 0 else { break }
        shown += String(decoding: buffer[..<count], as: UTF8.self)
      }
    }

    func type(_ text: String) {
      _ = Array(text.utf8).withUnsafeBytes { write(master.descriptor, $0.baseAddress, $0.count) }
    }
  }

  @Test func thePromptAsksTwiceAndShowsNothing() throws {
    try takes("/v1/secrets/key", secret("key"))
    let terminal = try Terminal(["secret", "create", "key"], socket: daemon.folder("sock"))
    try terminal.see("Passphrase for secret/key: ")
    terminal.type("hunter2\n")
    try terminal.see("The same again: ")
    terminal.type("hunter2\n")
    try terminal.see("secret/key created")
    #expect(try terminal.process.wait() == .code(0))
    #expect(!terminal.shown.contains("hunter2"))
    let value = try #require(try sent()["data"]?["CRYPTO_KEY_VALUE"]?.string)
    #expect(Data(base64Encoded: value) == Data("hunter2".utf8), "the line end is not a part of it")
  }

  @Test func twoThatDifferAndAnInterruption() throws {
    try takes("/v1/secrets/key", secret("key"))
    let terminal = try Terminal(["secret", "create", "key"], socket: daemon.folder("sock"))
    try terminal.see("Passphrase for secret/key: ")
    terminal.type("hunter2\n")
    try terminal.see("The same again: ")
    terminal.type("hunter3\n")
    try terminal.see("the two passphrases differ")
    #expect(try terminal.process.wait() == .code(2))

    let interrupted = try Terminal(["secret", "create", "key"], socket: daemon.folder("sock"))
    try interrupted.see("Passphrase for secret/key: ")
    interrupted.type("\u{3}")
    #expect(try interrupted.process.wait() == .code(130))
    #expect(!daemon.server.requests.contains { $0.method == "PUT" })
  }
}
