/// A place with objects under paths: a folder, a bucket, an export. One driver a kind of place.
///
/// What a driver promises:
/// - A path is relative to the target, without a leading slash: `backupstore/…`. Folders exist where objects are below
///   them; nobody makes or removes them.
/// - "Not there" is an answer, and only given when it is certain; whatever else happened is an error. An empty listing
///   means that the place was reached and there is nothing.
/// - `write` replaces an object whole or not at all; a reader never sees a part, also not after a crash. The content of
///   a written object has reached the disk when `write` returns, its name when a later `sync` does.
/// - A call may be made from many threads at once. It blocks, at the longest until its deadline as far as the system
///   lets it, and throws `timed-out` then. The driver tries again by itself only what is quickly over.
/// - Errors say `retry` as they should be treated: `target-unreachable` and `credentials-refused` wait for a change,
///   `network` and `io` may pass, `no-space` is final.
public protocol ObjectStore: AnyObject, Sendable {
  /// The target's canonical URL: no options, no secrets.
  var url: String { get }

  /// Throws where objects as long as a block can't be written at all, whatever is tried; asked before a backup begins.
  func checkTakesBlocks() throws(StoreError)

  /// Nil: certainly not there.
  func status(of path: String, deadline: Deadline) throws(StoreError) -> ObjectStatus?

  /// Names directly in a folder, of objects and folders, in any order. Names of unfinished writes may be among them.
  func names(in folder: String, deadline: Deadline) throws(StoreError) -> [String]

  /// Calls `visit` with the path, relative to `folder`, of each object that lies exactly `depth` names below it, entering
  /// only folders whose name `enter` takes. In any order, on the calling thread.
  func visit(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (String) throws(StoreError) -> Void
  ) throws(StoreError)

  /// As `visit`, with the object's version: a text that is another whenever the content is, as far as a listing tells. Empty
  /// where nothing is told of it.
  func survey(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (_ path: String, _ version: String) throws(StoreError) -> Void
  ) throws(StoreError)

  /// Reads a whole object into the beginning of `buffer` and returns its length; nil: certainly not there. One that is
  /// longer than the buffer is an error of code `bad-block`.
  func read(_ path: String, into buffer: UnsafeMutableRawBufferPointer, deadline: Deadline) throws(StoreError) -> Int?

  func write(_ path: String, _ bytes: UnsafeRawBufferPointer, deadline: Deadline) throws(StoreError)

  /// When it returns, every `write` and `remove` that had returned before it was called survives a power cut.
  func sync(deadline: Deadline) throws(StoreError)

  /// As `sync`, and so does what others had written, attempts that were killed among them, as far as the store had shown
  /// it. To be called before a config names objects that were only seen.
  func settle(deadline: Deadline) throws(StoreError)

  /// Removes one object. One that is not there is fine.
  func remove(_ path: String, deadline: Deadline) throws(StoreError)

  /// Gives an object another name in the same folder, replacing what has it. Where the place has no such call, the object is
  /// written again and removed; one too long to be held is only removed. One that is not there is fine. Two threads never
  /// move one object at once.
  func move(_ path: String, to other: String, deadline: Deadline) throws(StoreError)

  /// From now on the names of unfinished writes end in this number, where the driver makes such names, so that whoever
  /// goes on after a crash knows what is its own: see `TemporaryMark`. Two threads never write one path at once.
  func mark(temporaries mark: TemporaryMark)
}

extension ObjectStore {
  /// For a place that shows nothing which would not survive.
  public func settle(deadline: Deadline) throws(StoreError) { try sync(deadline: deadline) }

  public func mark(temporaries mark: TemporaryMark) {}

  public func move(_ path: String, to other: String, deadline: Deadline) throws(StoreError) {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 2 * StorePool.longestBlock, alignment: 4096)
    defer { buffer.deallocate() }
    do throws(StoreError) {
      guard let length = try read(path, into: buffer, deadline: deadline) else { return }
      try write(other, UnsafeRawBufferPointer(rebasing: buffer[..<length]), deadline: deadline)
    } catch {
      guard error.code == .badBlock else { throw error }
    }
    try remove(path, deadline: deadline)
  }

  public func survey(
    _ folder: String, depth: Int, deadline: Deadline, enter: (String) -> Bool,
    visit: (_ path: String, _ version: String) throws(StoreError) -> Void
  ) throws(StoreError) {
    try self.visit(folder, depth: depth, deadline: deadline, enter: enter) { (path) throws(StoreError) in
      guard let status = try status(of: "\(folder)/\(path)", deadline: deadline) else { return }
      try visit(path, "\(status.size) \(status.modified)")
    }
  }
}

/// Whose unfinished writes `NAME.tmp.DIGITS` are: the digits are made of the name of the lock that they were done under.
public struct TemporaryMark: Sendable, Hashable {
  /// Longhorn's own are nanoseconds since 1970.
  public var digits: UInt64

  /// Nil for a lock that is not one of Drover's.
  init?(lock name: String) {
    guard let number = name.split(separator: "-").last.flatMap({ UInt64($0, radix: 16) }) else { return nil }
    digits = number
  }

  var suffix: String { ".tmp.\(digits)" }
}

extension ObjectStore {
  public func checkTakesBlocks() throws(StoreError) {}
}

public struct ObjectStatus: Sendable, Hashable {
  /// Bytes.
  public var size: UInt64
  /// Nanoseconds since 1970 by the server's clock, as fine as it tells.
  public var modified: Int64

  public init(size: UInt64, modified: Int64) {
    self.size = size
    self.modified = modified
  }
}
