import LinuxSystem
import Synchronization
import TestKit

/// A web server that serves files well, and goes wrong where it is told to.
final class Web: Sendable {
  private struct Page {
    var file: ServedFile
    var stallAfter: Int?
    var drip: (bytes: Int, milliseconds: Int)?
    var failures: (status: Int, left: Int) = (0, 0)
  }
  private let server: TestHTTPServer
  private let pages = Mutex<[String: Page]>([:])

  init() throws { server = try TestHTTPServer() }

  func url(_ path: String) -> String { server.url(path) }

  /// Serves the file as it is now; its validators follow its content.
  func serve(_ path: String, file: String) throws {
    let bytes = try Folder.readFile(file, limit: 1 << 30)
    let tag = "\"\(try TestImage.sha512(of: file).prefix(16))\""
    pages.withLock { pages in
      pages[path, default: Page(file: ServedFile([]))].file = ServedFile(bytes, etag: tag, lastModified: nil)
    }
    server.serve(path) { [unowned self] in answer($0) }
  }

  /// Every answer stops after so many bytes of the file, until `release`.
  func stall(_ path: String, after bytes: Int) {
    pages.withLock { $0[path]?.stallAfter = bytes }
  }

  /// Every answer comes at so many bytes each 50 milliseconds, until `release`.
  func drip(_ path: String, bytes: Int) {
    pages.withLock { $0[path]?.drip = (bytes, 50) }
  }

  /// New requests are answered whole.
  func release() {
    pages.withLock { pages in
      for path in pages.keys {
        pages[path]?.stallAfter = nil
        pages[path]?.drip = nil
      }
    }
  }

  /// The next requests for the content are refused.
  func fail(_ path: String, status: Int, times: Int) {
    pages.withLock { $0[path]?.failures = (status, times) }
  }

  /// How often the content was asked for.
  func requests(_ path: String) -> Int { gets(path).count }

  /// Where each request for a part began.
  func rangeStarts(_ path: String) -> [Int] {
    gets(path).compactMap { $0.headers["range"] }.compactMap { Int($0.dropFirst(6).prefix { $0 != "-" }) }
  }

  private func gets(_ path: String) -> [ReceivedRequest] { server.requests(to: path).filter { $0.method == "GET" } }

  private func answer(_ request: ReceivedRequest) -> ScriptedAnswer {
    pages.withLock { pages in
      guard let page = pages[request.path] else { return ScriptedAnswer(404) }
      if request.method == "GET", page.failures.left > 0 {
        pages[request.path]!.failures.left -= 1
        return ScriptedAnswer(page.failures.status)
      }
      var answer = page.file.answer(request)
      if let stall = page.stallAfter {
        answer.fault = (max(0, stall - (page.file.bytes.count - answer.body.count)), .stall)
      }
      answer.drip = page.drip
      return answer
    }
  }
}
