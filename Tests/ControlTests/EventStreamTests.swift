import ControlServer
import DroverModel
import ServiceLifecycle
import TestKit
import Testing

@Suite(.timeLimit(.minutes(5))) struct EventStreamTests {
  @Test func whatIsThereIsSentAndTheAnswerEnds() async throws {
    try await TestServer.run { server in
      let events = try await server.ask("GET", "/v1/events?since=4")
      #expect(events.isComplete)
      #expect(events.text.split(separator: "\n").count == 3)
      #expect(events.text.hasPrefix(#"{"kind":"backingimage","message":"","name":"parrot","seq":5,"#))
    }
  }

  @Test func eachEventIsSentWhenItHappensAndTheStreamEndsWithTheServer() async throws {
    let done = OneShot<Reply>()
    try await TestServer.run { server in
      let client = UncheckedClient(try server.connect())
      try await onThread {
        try client.client.send(RawClient.request("GET", "/v1/events?follow=1", headers: [:]))
        _ = try client.client.head()
        for seq in 1...3 {
          let line = try client.client.chunk() ?? ""
          #expect(line.contains("\"seq\":\(seq),"))
        }
      }
      server.engine.with { $0.followers.first }?.yield(FakeEngine.event(9))
      let line = try await onThread { try client.client.chunk() ?? "" }
      #expect(line.contains("\"seq\":9,"))
      await server.group.triggerGracefulShutdown()
      // The end of the stream, properly marked, and then of the connection.
      try await onThread {
        let last = try client.client.chunk()
        #expect(last == nil)
        let rest = try client.client.untilEnd()
        #expect(rest.isEmpty)
      }
      done.set(Reply(status: 0, headers: [:], body: [], isComplete: true))
    }
    _ = try await done.value()
  }

  @Test func aFollowerThatGoesAwayIsForgotten() async throws {
    try await TestServer.run { server in
      try await onThread {
        let client = try server.connect()
        try client.send(RawClient.request("GET", "/v1/events?follow=1"))
        _ = try client.head()
        _ = try client.chunk()
      }
      // Nothing happens any more, so only the end of the connection can tell.
      try await eventually("the follower is gone") { server.engine.with { $0.endedFollowers } == 1 }
    }
  }

  @Test func aFollowerThatDoesNotReadIsLetGo() async throws {
    var limits = ServerLimits()
    limits.writeSeconds = 0.5
    try await TestServer.run(limits: limits) { server in
      let client = UncheckedClient(try server.connect())
      try await onThread {
        try client.client.send(RawClient.request("GET", "/v1/events?follow=1"))
        _ = try client.client.head()
      }
      let follower = try await eventually("the follower") { server.engine.with { $0.followers.first } }
      for seq in 10..<20_000 { follower.yield(FakeEngine.event(Int64(seq))) }
      try await eventually("the follower is gone") { server.engine.with { $0.endedFollowers } == 1 }
      _ = client
    }
  }
}
