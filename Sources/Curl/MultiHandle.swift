import CCurl

/// Owns a curl multi handle and the one easy handle that it drives, on whatever thread calls.
@safe
struct MultiHandle: ~Copyable {
  private let pointer: UnsafeMutableRawPointer
  let easy: EasyHandle

  init(driving easy: consuming EasyHandle) {
    guard let pointer = unsafe curl_multi_init() else { preconditionFailure("curl_multi_init failed") }
    let code = unsafe curl_multi_add_handle(pointer, easy.pointer)
    precondition(code == CURLM_OK, "curl_multi_add_handle failed")
    unsafe self.pointer = pointer
    self.easy = easy
  }

  deinit {
    unsafe curl_multi_remove_handle(pointer, easy.pointer)
    unsafe curl_multi_cleanup(pointer)
  }

  /// Does what can be done without waiting. Answers the transfer's result once it is over.
  func perform() throws(CurlError) -> CURLcode? {
    var running: Int32 = 0
    try check(unsafe curl_multi_perform(pointer, &running), "curl_multi_perform")
    var left: Int32 = 0
    while let message = unsafe curl_multi_info_read(pointer, &left) {
      if unsafe message.pointee.msg == CURLMSG_DONE { return unsafe ccurl_message_result(message) }
    }
    return nil
  }

  /// Lets paused directions go on. Calls back before it returns where data was held.
  func resume() {
    _ = unsafe curl_easy_pause(easy.pointer, ccurl_pause_none)
  }

  /// Waits for the network, or for `input` to become readable.
  func wait(milliseconds: Int32, input: Int32?) throws(CurlError) {
    var extra = curl_waitfd(fd: input ?? -1, events: Int16(CURL_WAIT_POLLIN), revents: 0)
    try check(unsafe curl_multi_poll(pointer, &extra, input == nil ? 0 : 1, milliseconds, nil), "curl_multi_poll")
  }

  private func check(_ code: CURLMcode, _ call: String) throws(CurlError) {
    guard code == CURLM_OK else {
      throw CurlError(.init(rawValue: 2), "\(call): \(unsafe String(cString: curl_multi_strerror(code)))")
    }
  }
}
