import CCurl

/// Seconds since 1970 of a date in any form that HTTP knows; nil when it is none.
public func secondsSince1970(httpDate: String) -> Int64? {
  let seconds = unsafe curl_getdate(httpDate, nil)
  return seconds == -1 ? nil : Int64(seconds)
}
