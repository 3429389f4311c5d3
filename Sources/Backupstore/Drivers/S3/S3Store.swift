import Curl

/// A prefix of a bucket as a store, of Amazon's or any other server that speaks S3. Source: longhorn-format, 9.2.
///
/// An object is one PUT, whole or not at all by the protocol's own promise, and durable when the server has answered; there
/// is nothing to sync. Only requests that every server knows are made: PutObject, GetObject, HeadObject, DeleteObject and
/// ListObjectsV2, without trailers, chunked signatures, conditions or multiple parts. Redirects are never followed: the
/// signature is for one host.
public final class S3Store: ObjectStore {
  public let url: String
  private let client: S3Client

  private var prefix: String { client.settings.prefix }

  /// Reaches the bucket and lists it once, which shows whether the credentials are good.
  init(url: String, settings: S3Settings, timing: S3Timing) throws(StoreError) {
    self.url = url
    client = S3Client(settings, url: url, timing: timing)
    try confirmBucket(.after(seconds: 60))
    client.confirmOpened()
  }

  public func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus? {
    let what = "look at \(path)"
    let answer: Session.Answer
    do throws(StoreError) {
      answer = try client.perform(
        .init(method: .head, path: client.settings.path(of: path), what: what), into: .memory(limit: 0),
        deadline: deadline)
    } catch {
      // An answer to HEAD has no body that could say why; a listing's has.
      if error.retry == .afterFix { try confirmBucket(deadline) }
      throw error
    }
    if answer.status == 404 {
      // Also what a missing bucket answers, or a server that is none of S3.
      try confirmBucket(deadline)
      return nil
    }
    guard let size = answer["content-length"].flatMap({ UInt64($0) }),
      let modified = answer["last-modified"].flatMap({ secondsSince1970(httpDate: $0) })
    else { throw senseless(what, "it tells no size or no time") }
    return ObjectStatus(size: size, modified: modified * 1_000_000_000)
  }

  public func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String] {
    var names: Set<String> = []
    let prefix = folder.isEmpty ? self.prefix : "\(self.prefix)\(folder)/"
    try pages(of: prefix, delimiter: "/", doing: "list \(folder)", deadline) { (page) throws(StoreError) in
      for entry in page.keys + page.prefixes {
        // By bytes: a slash with an accent behind it is a slash.
        let rest = entry.utf8.dropFirst(prefix.utf8.count)
        let name = rest.last == slash ? rest.dropLast() : rest
        // A key that ends in a slash is a folder's marker, as some tools make them.
        guard !name.isEmpty else { continue }
        guard !name.contains(slash) else { throw senseless("list \(folder)", "a name holds a slash") }
        names.insert(String(Substring(name)))
      }
    }
    return Array(names)
  }

  /// One level is listed by itself; several come as one flat listing of a thousand objects a page, whatever the folders.
  public func visit(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError) {
    try survey(folder, depth: depth, deadline: deadline, enter: enter) { (path, _) throws(StoreError) in
      try visit(path)
    }
  }

  public func survey(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (_ path: String, _ version: String) throws(StoreError) -> Void
  ) throws(StoreError) {
    let prefix = "\(self.prefix)\(folder)/"
    try pages(of: prefix, delimiter: depth > 1 ? nil : "/", doing: "list \(folder)", deadline) {
      (page) throws(StoreError) in
      for (key, version) in zip(page.keys, page.versions) {
        let path = key.utf8.dropFirst(prefix.utf8.count)
        let parts = path.split(separator: slash, omittingEmptySubsequences: false)
        guard parts.count == depth, parts.allSatisfy({ !$0.isEmpty }),
          parts.dropLast().allSatisfy({ enter(String(Substring($0))) })
        else { continue }
        try visit(String(Substring(path)), version)
      }
    }
  }

  public func read(
    _ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline
  ) throws(StoreError) -> Int? {
    let answer: Session.Answer
    do throws(StoreError) {
      answer = try client.perform(
        .init(method: .get, path: client.settings.path(of: path), what: "read \(path)"), into: .buffer(buffer),
        deadline: deadline)
    } catch {
      guard error.code == .badBlock else { throw error }
      throw StoreError(.badBlock, "\(url)/\(path) is longer than the \(buffer.count) bytes that it may have")
    }
    if answer.status == 404 {
      let problem = S3Problem(answer)
      if problem.code != "NoSuchKey" { try confirmBucket(deadline) }
      return nil
    }
    return answer.length
  }

  public func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError) {
    let answer = try client.perform(
      .init(method: .put, path: client.settings.path(of: path), body: bytes, what: "write \(path)"),
      into: .memory(limit: 64 << 10), deadline: deadline)
    if answer.status == 404 { throw failure(answer, "write \(path)") }
  }

  /// What was written is durable when `write` returns.
  public func sync(deadline: Deadline) throws(StoreError) {}

  public func remove(_ path: String, deadline: Deadline) throws(StoreError) {
    let answer = try client.perform(
      .init(method: .delete, path: client.settings.path(of: path), what: "remove \(path)"),
      into: .memory(limit: 64 << 10), deadline: deadline)
    guard answer.status == 404 else { return }
    // Most servers answer 204 for one that is not there.
    if S3Problem(answer).code != "NoSuchKey" { try confirmBucket(deadline) }
  }

  /// Throws unless the bucket is there and the credentials may list it.
  private func confirmBucket(_ deadline: Deadline) throws(StoreError) {
    let query = [("list-type", "2"), ("delimiter", "/"), ("max-keys", "1"), ("prefix", prefix)]
    _ = try page(query, "list the target", deadline)
  }

  private func pages(
    of prefix: String, delimiter: String?, doing what: String, _ deadline: Deadline,
    _ use: (S3Listing) throws(StoreError) -> Void
  ) throws(StoreError) {
    var query = [("list-type", "2"), ("prefix", prefix), ("encoding-type", "url")]
    if let delimiter { query.append(("delimiter", delimiter)) }
    var token: String?
    repeat {
      let page = try page(query + (token.map { [("continuation-token", $0)] } ?? []), what, deadline)
      guard (page.keys + page.prefixes).allSatisfy({ $0.utf8.starts(with: prefix.utf8) }) else {
        throw senseless(what, "it holds names from elsewhere")
      }
      guard page.next == nil || page.next != token else { throw senseless(what, "it does not get on") }
      try use(page)
      token = page.next
    } while token != nil
  }

  private func page(_ query: [(String, String)], _ what: String, _ deadline: Deadline) throws(StoreError) -> S3Listing {
    let bucketPath = client.settings.basePath.isEmpty ? "/" : client.settings.basePath
    let answer: Session.Answer
    do throws(StoreError) {
      answer = try client.perform(
        .init(method: .get, path: bucketPath, query: query, what: what), into: .memory(limit: S3Listing.longest),
        deadline: deadline)
    } catch {
      guard error.code == .badBlock else { throw error }
      throw senseless(what, "it is longer than \(S3Listing.longest) bytes")
    }
    if answer.status == 404 { throw failure(answer, what) }
    do throws(XMLScanner.Malformed) {
      return try S3Listing(answer.body)
    } catch {
      throw senseless(what, error.reason)
    }
  }

  private func failure(_ answer: Session.Answer, _ what: String) -> StoreError {
    S3Failure(answer, doing: what, client.settings, url: url).error
  }

  private func senseless(_ what: String, _ reason: String) -> StoreError {
    StoreError(
      .io, "could not \(what) in \(url): the answer of \(client.settings.server) makes no sense: \(reason)",
      hint: "see whether AWS_ENDPOINTS is the address of an S3 server and no proxy stands between")
  }
}

private let slash = UInt8(ascii: "/")
