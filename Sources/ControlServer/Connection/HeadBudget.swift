import NIOCore

/// How much of a request head came so far, shared by the two handlers of one connection on its event loop.
final class HeadBudget {
  let limit: Int
  var used = 0
  /// False while a body is being read.
  var isReadingHead = true

  init(limit: Int) { self.limit = limit }
}

/// Counts the bytes of request heads before they are parsed: the parser itself holds a request line of any length.
final class HeadLimiter: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  struct HeadTooLarge: Error {}

  private let budget: HeadBudget
  private var isOver = false

  init(_ budget: HeadBudget) { self.budget = budget }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if isOver { return }
    if budget.isReadingHead {
      budget.used += unwrapInboundIn(data).readableBytes
      if budget.used > budget.limit {
        isOver = true
        context.fireErrorCaught(HeadTooLarge())
        return
      }
    }
    context.fireChannelRead(data)
  }
}
