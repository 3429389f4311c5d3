import Glibc

/// How many descriptors this process may have open (RLIMIT_NOFILE). Children inherit it.
public enum DescriptorLimit {
  /// More than anything here needs.
  private static let most: rlim_t = 65_536

  /// Goes up to what the system allows, and tells how many there may be now.
  public static func raise() throws(SystemError) -> Int {
    var limit = rlimit()
    guard unsafe getrlimit(__rlimit_resource_t(7), &limit) == 0 else { throw .last("getrlimit") }  // RLIMIT_NOFILE
    let wanted = min(limit.rlim_max, most)
    guard limit.rlim_cur < wanted else { return Int(clamping: limit.rlim_cur) }
    limit.rlim_cur = wanted
    guard unsafe setrlimit(__rlimit_resource_t(7), &limit) == 0 else { throw .last("setrlimit") }
    return Int(clamping: wanted)
  }
}
