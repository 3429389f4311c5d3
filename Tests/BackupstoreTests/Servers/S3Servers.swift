import Curl
import DroverModel
import Foundation
import Glibc
import LinuxSystem
import TestKit

@testable import Backupstore

extension RcloneS3 {
  func makeBucket() throws -> String {
    let name = "bucket-\(UUID().uuidString.prefix(8).lowercased())"
    let url = try StoreURL("s3://\(name)@us-east-1/")
    guard case .bucket(let place) = url.place else { throw SystemError("make bucket \(name)", errno: EINVAL) }
    let settings = try S3Settings(place, credentials(), url: url.description)
    _ = try S3Client(settings, url: url.description, timing: S3Timing())
      .perform(
        .init(method: .put, path: settings.basePath, what: "make bucket"), into: .memory(limit: 1 << 16),
        deadline: .never)
    return name
  }

  func credentials(_ more: [String: String] = [:]) -> StoreCredentials {
    StoreCredentials(
      [
        "AWS_ACCESS_KEY_ID": Self.accessKey, "AWS_SECRET_ACCESS_KEY": Self.secretKey,
        "AWS_ENDPOINTS": endpoint,
      ].merging(more) { $1 })
  }
}

/// `moto_server`: Amazon's answers to the letter, without a look at signatures.
final class MotoS3: Sendable {
  static let shared: MotoS3? = try? MotoS3()
  static var isMissing: String? { shared == nil ? "moto_server can't be started here" : nil }

  let port = ServerProcess.freePort()
  private let folder = TemporaryFolder("moto")
  private let server: ServerProcess

  private init() throws {
    guard let moto = TestTool.path("moto_server") else { throw SystemError("find moto_server", errno: ENOENT) }
    server = try ServerProcess(
      [moto, "-H", "127.0.0.1", "-p", "\(port)"], port: port, environment: ["PYTHONPATH": TestTool.folder],
      log: folder("log"))
  }

  func makeBucket() throws -> String {
    let name = "bucket-\(UUID().uuidString.prefix(8).lowercased())"
    var request = Request(.put, "http://127.0.0.1:\(port)/\(name)")
    request.headers = [
      (name: "Authorization", value: "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request")
    ]
    let answer = try Session().perform(request, into: .memory(limit: 1 << 20))
    guard answer.status == 200 else { throw SystemError("make bucket \(name): \(answer.status)", errno: EIO) }
    return name
  }

  var credentials: StoreCredentials {
    StoreCredentials([
      "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_ENDPOINTS": "http://127.0.0.1:\(port)",
    ])
  }
}
