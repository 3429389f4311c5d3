/// One HTTP request, complete before the transfer begins.
public struct Request {
  public var method: Method
  /// `http` or `https`. A user and a password in it are sent to that host only.
  public var address: String
  public var headers: [(name: String, value: String)] = []
  public var body: Body = .none
  /// Connect to this socket; the host of `address` then only fills the Host header, and proxies are not asked.
  public var unixSocket: String?
  /// Redirects that are followed, to `http` and `https` only; 0 hands the 3xx response to the caller.
  public var redirects = 0
  /// PEM file with certificates that are trusted beside those of the system.
  public var certificateFile: String?
  /// Folder of hashed certificates that takes the place of the system's.
  public var certificateFolder: String?
  /// The same as PEM in memory; takes the place of `certificateFile`.
  public var certificates: [UInt8]?
  /// Nil asks the environment.
  public var proxy: Proxy?
  /// Send the path of `address` byte by byte as it is, with its dots.
  public var keepsPath = false
  /// Until the connection stands, TLS included.
  public var connectSeconds: Double = 30
  /// Longest silence while the caller waits, in seconds; nil: none is too long. Time in which the caller
  /// does not read, or the body's descriptor has nothing, does not count.
  public var stallSeconds: Double?
  /// Asked about five times a second while the caller waits; true ends the transfer with `cancelled`.
  public var isCancelled: () -> Bool = { false }

  public init(_ method: Method = .get, _ address: String) {
    self.method = method
    self.address = address
  }

  /// A proxy that is used whatever the environment says.
  public struct Proxy: Sendable {
    /// Empty: none.
    public var address: String
    /// Hosts that are reached without it, as in `NO_PROXY`.
    public var except: String

    public init(address: String, except: String) {
      self.address = address
      self.except = except
    }
  }

  public enum Method: String, Sendable {
    case get = "GET", head = "HEAD", put = "PUT", post = "POST", delete = "DELETE"
  }

  public enum Body {
    case none
    case bytes([UInt8])
    /// Read from where the descriptor stands until it ends. The descriptor stays the caller's. With a size, exactly so
    /// many bytes are sent; without, the body is chunked. `sent` gets the total so far.
    case descriptor(Int32, size: Int64?, sent: (Int64) -> Void)
  }
}

/// The head of the last response of a transfer, after redirects.
public struct ResponseHead: Sendable {
  public var status: Int
  /// In the order of their coming, names in lower case.
  public var headers: [(name: String, value: String)]
  /// Where it came from; differs from the request's after a redirect.
  public var address: String
  public var redirectCount: Int

  /// The first header of that name, which is lower case.
  public subscript(name: String) -> String? {
    headers.first { $0.name == name }?.value
  }
}
