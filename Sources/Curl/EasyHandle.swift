import CCurl

/// Owns a curl easy handle, and what libcurl expects to outlive its options.
@safe
struct EasyHandle: ~Copyable {
  let pointer: UnsafeMutableRawPointer
  private var headers: UnsafeMutablePointer<curl_slist>?
  private let messageBuffer: UnsafeMutablePointer<CChar>

  private static let prepared: CURLcode = curl_global_init(ccurl_global_default)

  /// Traps when libcurl can't even allocate a handle.
  init() {
    precondition(Self.prepared == CURLE_OK, "curl_global_init failed")
    guard let pointer = unsafe curl_easy_init() else { preconditionFailure("curl_easy_init failed") }
    unsafe self.pointer = pointer
    unsafe messageBuffer = .allocate(capacity: Int(CURL_ERROR_SIZE))
    unsafe messageBuffer.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
    unsafe headers = nil
    _ = unsafe ccurl_set_pointer(pointer, CURLOPT_ERRORBUFFER, messageBuffer)
  }

  /// Forgets every option; connections stay open.
  mutating func reset() {
    unsafe curl_easy_reset(pointer)
    unsafe curl_slist_free_all(headers)
    unsafe headers = nil
    unsafe messageBuffer.pointee = 0
    _ = unsafe ccurl_set_pointer(pointer, CURLOPT_ERRORBUFFER, messageBuffer)
  }

  deinit {
    unsafe curl_easy_cleanup(pointer)
    unsafe curl_slist_free_all(headers)
    unsafe messageBuffer.deallocate()
  }

  func set(_ option: CURLoption, _ value: Int) throws(CurlError) {
    try check(unsafe ccurl_set_long(pointer, option, value), option)
  }

  func set(_ option: CURLoption, offset value: Int64) throws(CurlError) {
    try check(unsafe ccurl_set_offset(pointer, option, curl_off_t(value)), option)
  }

  func set(_ option: CURLoption, _ value: String) throws(CurlError) {
    try check(unsafe ccurl_set_string(pointer, option, value), option)
  }

  /// libcurl copies them.
  func setBody(_ bytes: [UInt8]) throws(CurlError) {
    try set(CURLOPT_POSTFIELDSIZE_LARGE, offset: Int64(bytes.count))
    guard !bytes.isEmpty else { return try set(CURLOPT_COPYPOSTFIELDS, "") }
    let code = unsafe bytes.withUnsafeBytes {
      unsafe ccurl_set_pointer(pointer, CURLOPT_COPYPOSTFIELDS, UnsafeMutableRawPointer(mutating: $0.baseAddress))
    }
    try check(code, CURLOPT_COPYPOSTFIELDS)
  }

  /// libcurl does not copy them: they must stay until the transfer is over.
  func setBody(lent bytes: UnsafeRawBufferPointer) throws(CurlError) {
    guard let base = bytes.baseAddress, bytes.count > 0 else { return try setBody([]) }
    try set(CURLOPT_POSTFIELDSIZE_LARGE, offset: Int64(bytes.count))
    let code = unsafe ccurl_set_pointer(pointer, CURLOPT_POSTFIELDS, UnsafeMutableRawPointer(mutating: base))
    try check(code, CURLOPT_POSTFIELDS)
  }

  /// libcurl copies them.
  func set(_ option: CURLoption, copying bytes: [UInt8]) throws(CurlError) {
    let code = unsafe bytes.withUnsafeBytes { unsafe ccurl_set_blob(pointer, option, $0.baseAddress, $0.count) }
    try check(code, option)
  }

  func perform() -> CURLcode { unsafe curl_easy_perform(pointer) }

  func set(_ option: CURLoption, _ callback: ccurl_data_callback, context: CURLoption, _ value: UnsafeMutableRawPointer)
    throws(CurlError)
  {
    try check(unsafe ccurl_set_callback(pointer, option, callback), option)
    try check(unsafe ccurl_set_pointer(pointer, context, value), context)
  }

  /// Lines as they go over the wire: `Name: value`.
  mutating func set(headers lines: [String]) throws(CurlError) {
    for line in lines {
      guard !line.utf8.contains(where: { $0 == 10 || $0 == 13 || $0 == 0 }) else {
        throw CurlError(.init(rawValue: 43), "a header holds a line end")
      }
      guard let longer = unsafe curl_slist_append(headers, line) else { preconditionFailure("out of memory") }
      unsafe headers = longer
    }
    try check(unsafe ccurl_set_pointer(pointer, CURLOPT_HTTPHEADER, headers), CURLOPT_HTTPHEADER)
  }

  func int(_ info: CURLINFO) -> Int {
    var value = 0
    _ = unsafe ccurl_get_long(pointer, info, &value)
    return value
  }

  func string(_ info: CURLINFO) -> String? {
    var value: UnsafePointer<CChar>?
    guard unsafe ccurl_get_string(pointer, info, &value) == CURLE_OK, let value = unsafe value else { return nil }
    return unsafe String(cString: value)
  }

  /// The failure of a transfer, in libcurl's words.
  func error(_ code: CURLcode) -> CurlError {
    var message = unsafe String(cString: messageBuffer)
    if message.isEmpty { message = unsafe String(cString: curl_easy_strerror(code)) }
    let status = int(CURLINFO_RESPONSE_CODE)
    return CurlError(
      .init(rawValue: Int32(code.rawValue)), message, systemError: Int32(int(CURLINFO_OS_ERRNO)),
      status: status > 0 ? status : nil)
  }

  private func check(_ code: CURLcode, _ option: CURLoption) throws(CurlError) {
    guard code == CURLE_OK else {
      throw CurlError(
        .init(rawValue: Int32(code.rawValue)),
        "curl_easy_setopt(\(option.rawValue)): \(unsafe String(cString: curl_easy_strerror(code)))")
    }
  }
}
