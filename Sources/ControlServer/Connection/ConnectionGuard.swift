import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Watches over one connection, between the HTTP codec and the code that answers requests, on the connection's event
/// loop. It ends what takes too long, turns what can't be parsed into an answer, closes after answers that say
/// `Connection: close`, and tells a body that was cut short from one that ended.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
  typealias InboundIn = HTTPRequestPart
  typealias InboundOut = HTTPRequestPart
  typealias OutboundIn = HTTPResponsePart
  typealias OutboundOut = HTTPResponsePart

  /// Triggered by a route that is about to read the body or to stream an answer: sends `100 Continue` where the client
  /// waits for it, and sets how long the client may pause from now on until the answer is complete.
  struct BeginTransfer: Sendable {
    var patience: TimeAmount
  }

  private let limits: ServerLimits
  private let budget: HeadBudget
  /// A request's head came, its end did not.
  private var isReceiving = false
  private var isReadOutstanding = false
  private var expectsContinue = false
  private var unanswered = 0
  private var patience: TimeAmount?
  private var isClosing = false
  private var hasFailed = false
  private var answerSent: EventLoopFuture<Void>?
  private var readDeadline: Deadline?
  private var writeDeadline: Deadline?
  private var endDeadline: Deadline?

  init(limits: ServerLimits, budget: HeadBudget) {
    self.limits = limits
    self.budget = budget
  }

  // MARK: Life

  func handlerAdded(context: ChannelHandlerContext) {
    if context.channel.isActive { waitForHead(context) }
  }

  func channelActive(context: ChannelHandlerContext) {
    waitForHead(context)
    context.fireChannelActive()
  }

  func handlerRemoved(context: ChannelHandlerContext) { cancelDeadlines() }

  func channelInactive(context: ChannelHandlerContext) {
    fail(context, .clientWentAway)
    cancelDeadlines()
    context.fireChannelInactive()
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    switch event {
    case ChannelEvent.inputClosed:
      fail(context, .clientWentAway)
    case is ChannelShouldQuiesceEvent:
      endDeadline = endDeadline ?? schedule(context, .of(limits.drainSeconds)) { $0.close(promise: nil) }
    default: break
    }
    context.fireUserInboundEventTriggered(event)
  }

  // MARK: Requests

  func read(context: ChannelHandlerContext) {
    isReadOutstanding = true
    restartReadDeadline(context)
    context.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if hasFailed { return }
    switch unwrapInboundIn(data) {
    case .head(let head):
      isReceiving = true
      unanswered += 1
      expectsContinue = head.headerFields[.expect]?.lowercased() == "100-continue"
      budget.isReadingHead = false
      readDeadline = cancelled(readDeadline)
    case .body:
      isReadOutstanding = false
      readDeadline = cancelled(readDeadline)
    case .end:
      isReceiving = false
      budget.isReadingHead = true
      budget.used = 0
      readDeadline = cancelled(readDeadline)
      if isClosing { return close(context) }
    }
    if !isClosing { context.fireChannelRead(data) }
  }

  func channelReadComplete(context: ChannelHandlerContext) {
    isReadOutstanding = false
    context.fireChannelReadComplete()
    // The rest of a refused request is dropped here; nobody above asks for it any more.
    if isClosing { context.read() }
  }

  func triggerUserOutboundEvent(context: ChannelHandlerContext, event: Any, promise: EventLoopPromise<Void>?) {
    guard let event = event as? BeginTransfer else {
      return context.triggerUserOutboundEvent(event, promise: promise)
    }
    patience = event.patience
    restartReadDeadline(context)
    if expectsContinue, isReceiving {
      expectsContinue = false
      context.writeAndFlush(wrapOutboundOut(.head(HTTPResponse(status: .continue))), promise: nil)
    }
    promise?.succeed()
  }

  /// The parser failed, or the head is too large. Between two requests the answer is given here, since nobody else has
  /// a request to answer; inside a body the route is told.
  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    if isReceiving {
      if case .some(.invalidEOFState) = error as? HTTPParserError { return fail(context, .clientWentAway) }
      return fail(context, .malformed("\(error)"))
    }
    guard !hasFailed else { return }
    hasFailed = true
    if case .some(.invalidEOFState) = error as? HTTPParserError { return close(context) }
    guard unanswered == 0 else {
      // An earlier request of the same connection is being answered: that answer goes out, then nothing.
      isClosing = true
      return
    }
    let answer = FaultResponse.unreadableHead(error)
    var head = HTTPResponse(status: answer.status, headerFields: [.contentType: "application/json"])
    head.headerFields[.contentLength] = "\(answer.body.readableBytes)"
    head.headerFields[.connection] = "close"
    isClosing = true
    context.write(wrapOutboundOut(.head(head)), promise: nil)
    context.write(wrapOutboundOut(.body(answer.body)), promise: nil)
    context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    // The parser takes no more bytes after an error, so there is nothing to wait for but the time.
    linger(context)
  }

  /// Tells the code that reads the body, once, that there will be no more of it.
  private func fail(_ context: ChannelHandlerContext, _ failure: ConnectionFailure) {
    guard isReceiving, !hasFailed else { return }
    hasFailed = true
    context.fireErrorCaught(failure)
  }

  // MARK: Answers

  func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
    switch unwrapOutboundIn(data) {
    case .head(var head):
      // An answer before the end of the request means that nobody wants the rest.
      if isReceiving || hasFailed { head.headerFields[.connection] = "close" }
      if head.headerFields[.connection] == "close" { isClosing = true }
      context.write(wrapOutboundOut(.head(head)), promise: promise)
    case .body:
      context.write(data, promise: promise)
    case .end:
      unanswered -= 1
      patience = nil
      let sent = promise ?? context.eventLoop.makePromise()
      answerSent = sent.futureResult
      context.write(data, promise: sent)
      if isClosing {
        context.flush()
        if isReceiving { linger(context) } else { close(context) }
      } else if unanswered == 0 {
        waitForHead(context)
      }
    }
  }

  func channelWritabilityChanged(context: ChannelHandlerContext) {
    writeDeadline = cancelled(writeDeadline)
    if !context.channel.isWritable {
      let time = patience ?? .of(limits.writeSeconds)
      writeDeadline = schedule(context, time) { $0.close(promise: nil) }
    }
    context.fireChannelWritabilityChanged()
  }

  /// Gives what was written a chance to leave, and drops what still comes in.
  private func linger(_ context: ChannelHandlerContext) {
    readDeadline = cancelled(readDeadline)
    endDeadline = endDeadline ?? schedule(context, .of(limits.lingerSeconds)) { $0.close(promise: nil) }
    context.read()
  }

  /// Closes once the last answer has left, or when the write deadline passes.
  private func close(_ context: ChannelHandlerContext) {
    isClosing = true
    guard let answerSent else { return context.close(promise: nil) }
    answerSent.assumeIsolated().whenComplete { _ in context.close(promise: nil) }
  }

  // MARK: Deadlines

  private typealias Deadline = Scheduled<Void>

  private func waitForHead(_ context: ChannelHandlerContext) {
    guard !isReceiving, !isClosing else { return }
    readDeadline = cancelled(readDeadline)
    readDeadline = schedule(context, .of(limits.headSeconds)) { $0.close(promise: nil) }
  }

  /// Runs only while the route wants bytes: a client is not slow when it is we who don't read.
  private func restartReadDeadline(_ context: ChannelHandlerContext) {
    guard let patience, isReceiving, isReadOutstanding, !isClosing, readDeadline == nil else { return }
    readDeadline = schedule(context, patience) { [self] in fail($0, .tooSlow) }
  }

  private func schedule(
    _ context: ChannelHandlerContext, _ time: TimeAmount, _ body: @escaping (ChannelHandlerContext) -> Void
  ) -> Deadline {
    context.eventLoop.assumeIsolated().scheduleTask(in: time) { body(context) }
  }

  private func cancelled(_ deadline: Deadline?) -> Deadline? {
    deadline?.cancel()
    return nil
  }

  private func cancelDeadlines() {
    readDeadline = cancelled(readDeadline)
    writeDeadline = cancelled(writeDeadline)
    endDeadline = cancelled(endDeadline)
  }
}

@available(*, unavailable)
extension ConnectionGuard: Sendable {}

extension TimeAmount {
  static func of(_ seconds: Double) -> TimeAmount { .nanoseconds(Int64(seconds * 1e9)) }
}
