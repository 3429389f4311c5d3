import CCurl

extension EasyHandle {
  /// Sets everything that the request says, and where its answer goes. Inbox and outbox must outlive the transfer.
  mutating func configure(for request: Request, inbox: Inbox, outbox: Outbox?) throws(CurlError) {
    try configure(for: request, outbox: outbox)
    let context = unsafe Unmanaged.passUnretained(inbox).toOpaque()
    unsafe try set(CURLOPT_HEADERFUNCTION, receiveHeader, context: CURLOPT_HEADERDATA, context)
    unsafe try set(CURLOPT_WRITEFUNCTION, receiveBody, context: CURLOPT_WRITEDATA, context)
  }

  /// Sets everything that the request says.
  mutating func configure(for request: Request, outbox: Outbox?) throws(CurlError) {
    try set(CURLOPT_URL, request.address)
    try set(CURLOPT_USERAGENT, "drover")
    try setLimits(request)
    try setConnection(request)
    try setMethod(request, outbox: outbox)
    var lines = request.headers.map { "\($0.name): \($0.value)" }
    // Without this, curl waits a second for a "100 Continue" that few servers send.
    lines.append("Expect:")
    try set(headers: lines)
  }

  private func setLimits(_ request: Request) throws(CurlError) {
    try set(CURLOPT_PROTOCOLS_STR, "http,https")
    try set(CURLOPT_REDIR_PROTOCOLS_STR, "http,https")
    try set(CURLOPT_FOLLOWLOCATION, request.redirects > 0 ? 1 : 0)
    try set(CURLOPT_MAXREDIRS, request.redirects)
    try set(CURLOPT_CONNECTTIMEOUT_MS, Int(request.connectSeconds * 1000))
    // One transfer a connection gains nothing from HTTP/2, whose flow control works against pausing.
    try set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
    try set(CURLOPT_BUFFERSIZE, 256 << 10)
    try set(CURLOPT_NOSIGNAL, 1)
    // Cancelling must not wait for a resolver thread that hangs.
    try set(CURLOPT_QUICK_EXIT, 1)
    try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
  }

  private func setConnection(_ request: Request) throws(CurlError) {
    if let path = request.unixSocket {
      try set(CURLOPT_UNIX_SOCKET_PATH, path)
      try set(CURLOPT_NOPROXY, "*")
      try set(CURLOPT_PATH_AS_IS, 1)
    } else {
      try set(CURLOPT_TCP_KEEPALIVE, 1)
    }
    if let file = request.certificateFile { try set(CURLOPT_CAINFO, file) }
    if let folder = request.certificateFolder { try set(CURLOPT_CAPATH, folder) }
    // Takes the place of the file; the folder of the system's stays.
    if let bundle = request.certificates { try set(CURLOPT_CAINFO_BLOB, copying: bundle) }
    if let proxy = request.proxy {
      // Empty strings are options too: without them libcurl looks at the environment.
      try set(CURLOPT_PROXY, proxy.address)
      try set(CURLOPT_NOPROXY, proxy.except)
    }
    if request.keepsPath { try set(CURLOPT_PATH_AS_IS, 1) }
  }

  private func setMethod(_ request: Request, outbox: Outbox?) throws(CurlError) {
    switch request.method {
    case .get: break
    case .head: try set(CURLOPT_NOBODY, 1)
    case .put, .post, .delete: try set(CURLOPT_CUSTOMREQUEST, request.method.rawValue)
    }
    switch request.body {
    case .none:
      if request.method == .put || request.method == .post { try setBody([]) }
    case .bytes(let bytes): try setBody(bytes)
    case .descriptor(_, let size, _):
      guard let outbox else { break }
      try set(CURLOPT_UPLOAD, 1)
      if let size { try set(CURLOPT_INFILESIZE_LARGE, offset: size) }
      let context = unsafe Unmanaged.passUnretained(outbox).toOpaque()
      unsafe try set(CURLOPT_READFUNCTION, sendBody, context: CURLOPT_READDATA, context)
    }
  }
}

private func receiveHeader(
  _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
)
  -> Int
{
  guard let context = unsafe context else { return 0 }
  let inbox = unsafe Unmanaged<Inbox>.fromOpaque(context).takeUnretainedValue()
  return unsafe inbox.header(UnsafeRawBufferPointer(start: bytes, count: size * count))
}

private func receiveBody(
  _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
)
  -> Int
{
  guard let context = unsafe context else { return 0 }
  let inbox = unsafe Unmanaged<Inbox>.fromOpaque(context).takeUnretainedValue()
  return unsafe inbox.body(UnsafeRawBufferPointer(start: bytes, count: size * count))
}

private func sendBody(
  _ bytes: UnsafeMutablePointer<CChar>?, _ size: Int, _ count: Int, _ context: UnsafeMutableRawPointer?
)
  -> Int
{
  guard let context = unsafe context else { return ccurl_read_abort }
  let outbox = unsafe Unmanaged<Outbox>.fromOpaque(context).takeUnretainedValue()
  return unsafe outbox.fill(UnsafeMutableRawBufferPointer(start: bytes, count: size * count))
}
