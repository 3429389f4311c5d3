import ControlServer
import DroverModel
import Engine
import Glibc
import TestKit
import Testing

/// What the routes answer where everything is as it should be.
@Suite(.timeLimit(.minutes(5))) struct RouteTests {
  static let manifest = """
    {"apiVersion":"longhorn.io/v1beta2","kind":"BackingImage","metadata":{"name":"parrot"},"spec":{"sourceType":"download"}}
    """

  @Test func versionStatusAndMetrics() async throws {
    try await TestServer.run { server in
      let version = try await server.ask("GET", "/v1/version")
      #expect(version.status == 200)
      #expect(version.headers["content-type"] == "application/json")
      #expect(version.json?["version"]?.string == DroverVersion.current)
      #expect(version.json?["apiVersions"] == ["v1"])
      let status = try await server.ask("GET", "/v1/status")
      #expect(status.json?["queue"]?["running"]?.int == 2)
      #expect(status.json?["version"]?.string == DroverVersion.current)
      let metrics = try await server.ask("GET", "/v1/metrics")
      #expect(metrics.headers["content-type"]?.hasPrefix("text/plain; version=0.0.4") == true)
      #expect(metrics.text.contains("drover_jobs{state=\"paused\"} 3\n"))
      #expect(metrics.text.contains("drover_target_available{target=\"a\\\"b\"} 1\n"))
      #expect(metrics.text.contains("drover_http_requests_total{code=\"200\"} 2\n"))
    }
  }

  @Test func anObjectIsPutReadListedDescribedAndDeleted() async throws {
    try await TestServer.run { server in
      let created = try await server.ask("PUT", "/v1/backingimages/parrot", body: Self.manifest)
      #expect(created.status == 201)
      #expect(created.json?["result"]?.string == "created")
      #expect(created.json?["object"]?["metadata"]?["name"]?.string == "parrot")
      #expect(created.json?["warnings"] == ["one"])
      #expect(try await server.ask("PUT", "/v1/backingimages/parrot", body: Self.manifest).status == 200)
      #expect(try await server.ask("GET", "/v1/backingimages/parrot").json?["kind"]?.string == "BackingImage")
      for target in ["/v1/backingimages/parrot/describe", "/v1/backingimages/parrot?describe=1"] {
        let described = try await server.ask("GET", target)
        #expect(described.json?["dependents"]?.array?.count == 1)
      }
      let list = try await server.ask("GET", "/v1/backingimages")
      #expect(list.json?["kind"]?.string == "List")
      #expect(list.json?["items"]?.array?.count == 1)
      let deleted = try await server.ask("DELETE", "/v1/backingimages/parrot?force=1")
      #expect(deleted.status == 200)
      let gone = try await server.ask("GET", "/v1/backingimages/parrot")
      #expect(gone.status == 404 && gone.code == "not-found")
      #expect(gone.json?["error"]?["exitCode"]?.int == 4)
      #expect(server.engine.calls.contains("delete backingimage/parrot force"))
    }
  }

  @Test func secretsHaveTheirNamespaceInThePath() async throws {
    @Sendable func manifest(_ namespace: String?) -> String {
      let namespace = namespace.map { ",\"namespace\":\"\($0)\"" } ?? ""
      return #"{"apiVersion":"v1","kind":"Secret","metadata":{"name":"key"\#(namespace)},"stringData":{"a":"b"}}"#
    }
    try await TestServer.run { server in
      #expect(try await server.ask("PUT", "/v1/secrets/key", body: manifest(nil)).status == 201)
      #expect(try await server.ask("PUT", "/v1/secrets/key", body: manifest("longhorn-system")).status == 200)
      #expect(try await server.ask("PUT", "/v1/secrets/longhorn-system/key", body: manifest(nil)).status == 200)
      #expect(try await server.ask("PUT", "/v1/secrets/prod/key", body: manifest("prod")).status == 201)
      for (path, namespace) in [("key", "prod"), ("prod/key", nil), ("prod/key", "test"), ("prod/other", "prod")] {
        let refused = try await server.ask("PUT", "/v1/secrets/\(path)", body: manifest(namespace))
        #expect(refused.code == "invalid")
      }
      #expect(try await server.ask("GET", "/v1/secrets/prod/key").status == 200)
      #expect(try await server.ask("GET", "/v1/secrets/prod/key?describe=1").json?["dependents"] != nil)
      #expect(try await server.ask("GET", "/v1/secrets/prod/key/describe").json?["dependents"] != nil)
      #expect(try await server.ask("GET", "/v1/secrets/key/describe").json?["dependents"] != nil)
      #expect(try await server.ask("DELETE", "/v1/secrets/prod/key").status == 200)
      #expect(try await server.ask("GET", "/v1/secrets/prod/key").status == 404)
      #expect(try await server.ask("GET", "/v1/secrets/key").status == 200)
      #expect(try await server.ask("GET", "/v1/backingimages/prod/key").status == 404)
    }
  }

  @Test func aDryRunAnswersWith200AndThePlan() async throws {
    try await TestServer.run { server in
      server.engine.with { $0.plan = JobPlan(size: 4096) }
      let answer = try await server.ask(
        "PUT", "/v1/backingimages/parrot?dryRun=1&validate=warn", body: Self.manifest)
      #expect(answer.status == 200)
      #expect(answer.json?["plan"]?["size"]?.int == 4096)
      #expect(server.engine.calls == ["apply BackingImage/parrot dry warn"])
      let wrong = try await server.ask("PUT", "/v1/backingimages/parrot?validate=lax", body: Self.manifest)
      #expect(wrong.status == 400 && wrong.message.contains("strict, warn, ignore"))
    }
  }

  @Test func aPostLetsTheDaemonMakeTheName() async throws {
    try await TestServer.run { server in
      let answer = try await server.ask(
        "POST", "/v1/backingimages", body: #"{"kind":"BackingImage","metadata":{"generateName":"p-"},"spec":{}}"#)
      #expect(answer.status == 201)
      #expect(answer.json?["object"]?["metadata"]?["name"]?.string == "made-by-the-daemon")
    }
  }

  @Test func aDeletionThatTakesAJobIs202() async throws {
    try await TestServer.run { server in
      server.engine.with { $0.deletionJob = Resource(kind: "Job", metadata: .init(name: "job-1")) }
      let answer = try await server.ask("DELETE", "/v1/backupbackingimages/parrot")
      #expect(answer.status == 202)
      #expect(answer.json?["job"]?["metadata"]?["name"]?.string == "job-1")
    }
  }

  @Test func labelsAndOwnersFilterLists() async throws {
    try await TestServer.run { server in
      server.engine.add(.backingImage, "a", labels: ["type": "raw", "usecase": "test"])
      server.engine.add(.backingImage, "b", labels: ["type": "qcow2"])
      func expect(_ target: String, _ names: [String]) async throws {
        let items = try await server.ask("GET", target).json?["items"]?.array ?? []
        #expect(items.compactMap { $0["metadata"]?["name"]?.string } == names)
      }
      try await expect("/v1/backingimages?labels=type%3Draw", ["a"])
      try await expect("/v1/backingimages?labels=type", ["a", "b"])
      try await expect("/v1/backingimages?labels=type,usecase%3Dtest", ["a"])
      try await expect("/v1/backingimages?labels=usecase%3Dother", [])
      server.engine.with {
        for (name, owner) in [("job-1", "parrot"), ("job-2", "other")] {
          $0.objects[ResourceKey(.job, name)] = Resource(
            kind: "Job", metadata: .init(name: name),
            status: ["owner": ["kind": "backingimage", "name": .string(owner)]])
        }
      }
      try await expect("/v1/jobs?owner=backingimage/parrot", ["job-1"])
    }
  }

  @Test func jobsAreReadAndCommanded() async throws {
    try await TestServer.run { server in
      server.engine.add(.job, "job-1")
      #expect(try await server.ask("GET", "/v1/jobs/job-1").status == 200)
      for action in ["cancel", "retry", "pause", "resume"] {
        let answer = try await server.ask("POST", "/v1/jobs/job-1/\(action)")
        #expect(answer.status == 202)
        #expect(server.engine.calls.last == "\(action) job-1")
      }
      let log = try await server.ask("GET", "/v1/jobs/job-1/log?since=2")
      #expect(log.headers["content-type"] == "application/x-ndjson")
      #expect(log.text.split(separator: "\n").count == 3)
      #expect(log.text.contains("\"line\":3"))
      let text = try await server.ask("GET", "/v1/jobs/job-1/log?format=text&follow=1")
      #expect(text.text.hasPrefix("2026-01-02T03:04:05Z info [1] line 1\n"))
      #expect(text.isComplete)
    }
  }

  @Test func backupsAndPluginsAreInspected() async throws {
    try await TestServer.run { server in
      let backup = try await server.ask(
        "POST", "/v1/backups/inspect", body: #"{"url":"file:///s?backingImage=parrot"}"#)
      #expect(backup.json?["size"]?.int == 512)
      #expect(try await server.ask("POST", "/v1/backups/inspect", body: "{}").status == 400)
      #expect(try await server.ask("GET", "/v1/plugins").json?["items"]?.array?.count == 1)
      let plugin = try await server.ask("GET", "/v1/plugins/inspect?path=%2Fp%2Fx.so")
      #expect(plugin.json?["path"]?.string == "/p/x.so")
      #expect(try await server.ask("GET", "/v1/plugins/inspect?path=x.so").status == 400)
      let listed = try await server.ask("GET", "/v1/plugins/inspect?path=%2Fp%2Fa.so", readOnly: true)
      #expect(listed.json?["name"]?.string == "a")
      for path in ["%2Fp%2Fx.so", "%2Fp%2F..%2Fp%2Fa.so", "%2Fetc%2Fpasswd"] {
        let refused = try await server.ask("GET", "/v1/plugins/inspect?path=\(path)", readOnly: true)
        #expect(refused.status == 403 && refused.code == "not-permitted", "\(path)")
      }
    }
  }

  @Test func theKernelsWordForWhoAsksGoesAlong() async throws {
    try await TestServer.run { server in
      _ = try await server.ask("PUT", "/v1/backingimages/parrot", body: Self.manifest)
      let caller = server.engine.with { $0.callers.first }
      #expect(caller?.uid == getuid())
      #expect(caller?.gid == getgid())
      #expect(caller?.pid == getpid())
    }
  }

  @Test func theReadOnlySocketTakesNothingButGET() async throws {
    try await TestServer.run { server in
      server.engine.add(.backingImage, "parrot")
      #expect(try await server.ask("GET", "/v1/backingimages/parrot", readOnly: true).status == 200)
      for (method, target) in [
        ("PUT", "/v1/backingimages/parrot"), ("DELETE", "/v1/backingimages/parrot"), ("POST", "/v1/jobs/j/cancel"),
        ("PATCH", "/v1/backingimages/parrot"), ("POST", "/v1/nothing"), ("PUT", "/v1/backingimages/parrot/content"),
      ] {
        let answer = try await server.ask(method, target, body: Self.manifest, readOnly: true)
        #expect(answer.status == 403 && answer.code == "not-permitted", "\(method) \(target)")
        #expect(answer.json?["error"]?["exitCode"]?.int == 14)
      }
      #expect(server.engine.calls == ["get backingimage/parrot"])
    }
  }

  @Test func aFaultOfTheEngineIsTheAnswer() async throws {
    try await TestServer.run { server in
      for (code, status) in [
        (Fault.Code.inUse, 409), (.locked, 423), (.noSpace, 507), (.notPermitted, 403), (.internalError, 500),
      ] {
        server.engine.with { $0.failure = Fault(code, "because", hint: "do this") }
        let answer = try await server.ask("GET", "/v1/backingimages/parrot")
        #expect(answer.status == status)
        #expect(answer.code == code.rawValue && answer.message == "because")
        #expect(answer.json?["error"]?["hint"]?.string == "do this")
        #expect(answer.json?["error"]?["retry"]?.string != nil)
      }
    }
  }
}
