import Glibc

/// For the name of the holder in STATE/lock.
var ownProcess: Int32 { getpid() }
