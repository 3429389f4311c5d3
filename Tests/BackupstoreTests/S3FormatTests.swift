import Curl
import DroverModel
import Testing

@testable import Backupstore

/// What is signed, escaped and read, without a server.
@Suite struct S3FormatTests {
  private func settings(_ url: String, _ more: [String: String] = [:]) throws -> S3Settings {
    let url = try StoreURL(url)
    guard case .bucket(let bucket) = url.place else { throw StoreError(.invalid, "no bucket") }
    let credentials = [
      "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
      "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    ].merging(more) { $1 }
    return try S3Settings(bucket, StoreCredentials(credentials), url: url.description)
  }

  /// Source: AWS, "Signature calculations: examples", GET Bucket Lifecycle and GET Bucket (List Objects).
  @Test(arguments: [
    ([("lifecycle", "")], "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ([("prefix", "J"), ("max-keys", "2")], "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
  ])
  func publishedSignatures(_ query: [(String, String)], _ expected: String) throws {
    let signature = S3Signature(
      time: 1_369_353_600, method: "GET", host: "examplebucket.s3.amazonaws.com", path: "/", query: query,
      payload: S3Signature.empty)
    let headers = signature.headers(try settings("s3://examplebucket@us-east-1/"))
    let authorization = try #require(headers.first { $0.name == "Authorization" }?.value)
    #expect(authorization.hasSuffix("Signature=\(expected)"))
    #expect(
      authorization.hasPrefix(
        "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
          + "SignedHeaders=host;x-amz-content-sha256;x-amz-date, "))
  }

  @Test func addresses() throws {
    func address(_ url: String, _ more: [String: String] = [:]) throws -> String {
      let settings = try settings(url, more)
      return settings.base + settings.path(of: "a b")
    }
    #expect(try address("s3://bucket@eu-west-1/p/q/") == "https://bucket.s3.eu-west-1.amazonaws.com/p/q/a%20b")
    #expect(try address("s3://bucket/") == "https://bucket.s3.us-east-1.amazonaws.com/a%20b")
    #expect(try address("s3://bucket/", ["AWS_REGION": "eu-1"]) == "https://bucket.s3.eu-1.amazonaws.com/a%20b")
    #expect(try address("s3://my.bucket@r1/") == "https://s3.r1.amazonaws.com/my.bucket/a%20b")
    #expect(try address("s3://bucket@cn-north-1/") == "https://bucket.s3.cn-north-1.amazonaws.com.cn/a%20b")
    let minio = ["AWS_ENDPOINTS": "http://Minio.local:9000/base/"]
    #expect(try address("s3://bucket@r/ü", minio) == "http://minio.local:9000/base/bucket/%C3%BC/a%20b")
    #expect(
      try address("s3://bucket@r/", minio.merging(["VIRTUAL_HOSTED_STYLE": "true"]) { $1 })
        == "http://bucket.minio.local:9000/base/a%20b")
    #expect(
      try address("s3://bucket@r/", ["VIRTUAL_HOSTED_STYLE": "false"]) == "https://s3.r.amazonaws.com/bucket/a%20b")
    #expect(try settings("s3://bucket@r/", ["AWS_ENDPOINTS": "https://host:443"]).host == "host")
  }

  @Test func proxiesAreTheTargetsOwn() throws {
    let proxies = ["HTTP_PROXY": "http://p:1", "HTTPS_PROXY": "http://q:2", "NO_PROXY": "a,b"]
    #expect(try settings("s3://bucket/", proxies).proxy.address == "http://q:2")
    let plain = try settings("s3://bucket/", proxies.merging(["AWS_ENDPOINTS": "http://h"]) { $1 }).proxy
    #expect(plain.address == "http://p:1" && plain.except == "a,b")
    #expect(try settings("s3://bucket/").proxy.address == "")
  }

  @Test(arguments: [
    ["AWS_ENDPOINTS": "minio:9000"], ["AWS_ENDPOINTS": "ftp://h"], ["AWS_ENDPOINTS": "http://h,http://i"],
    ["AWS_ENDPOINTS": "http://user:pw@h"], ["VIRTUAL_HOSTED_STYLE": "yes"], ["AWS_SECRET_ACCESS_KEY": "key\n"],
    ["AWS_ACCESS_KEY_ID": " key"], ["AWS_ACCESS_KEY_ID": "k\u{1}y"],
  ])
  func badCredentialsAreInvalid(_ values: [String: String]) throws {
    let error = try #require(storeError { _ = try settings("s3://bucket/", values) })
    #expect(error.code == .invalid && error.retry == .afterFix)
    #expect(!error.message.contains(values.values.first!))
  }

  @Test func noCredentialsAreRefused() {
    #expect(storeError { _ = try settings("s3://bucket/", ["AWS_SECRET_ACCESS_KEY": ""]) }?.code == .credentialsRefused)
    #expect(storeError { _ = try openStore(StoreURL("s3://bucket/")) }?.code == .credentialsRefused)
  }

  private func listing(_ text: String) throws -> S3Listing { try S3Listing(Array(text.utf8)) }

  @Test func listings() throws {
    let text = """
      <?xml version="1.0" encoding="UTF-8"?>
      <!-- what Amazon sends -->
      <ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>p/</Prefix>
      <Contents><Key>p/a&amp;b &#x263a;&#65;</Key><Size>1</Size><Owner><ID>x</ID></Owner></Contents>
      <Contents><Key>p/c</Key></Contents><CommonPrefixes><Prefix>p/d/</Prefix></CommonPrefixes><Empty/>
      <IsTruncated>true</IsTruncated><NextContinuationToken>t&lt;</NextContinuationToken></ListBucketResult>

      """
    let page = try listing(text)
    #expect(page.keys == ["p/a&b \u{263a}A", "p/c"])
    #expect(page.prefixes == ["p/d/"])
    #expect(page.next == "t<")
    let encoded = try listing(
      "<ListBucketResult><EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
        + "<Contents><Key>a+b%2Bc%C3%BC</Key></Contents></ListBucketResult>")
    #expect(encoded.keys == ["a b+cü"] && encoded.next == nil)
    #expect(
      try listing("<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        == listing(
          "<x:ListBucketResult a='>'><IsTruncated >false</IsTruncated></x:ListBucketResult>"))
    // Cut anywhere, it is never a listing.
    let bytes = Array(text.utf8)
    let end = text.utf8.count - 1
    for length in 0..<(end - 1) where bytes[..<length].last != 10 || length < end {
      #expect(throws: (any Error).self, "\(length)") { try S3Listing(Array(bytes[..<length])) }
    }
  }

  @Test(arguments: [
    "", " ", "garbage", "<html></html>", "<ListBucketResult/>", "<ListBucketResult></ListBucketResult>x",
    "<ListBucketResult><IsTruncated>maybe</IsTruncated></ListBucketResult>",
    "<ListBucketResult><IsTruncated>true</IsTruncated></ListBucketResult>",
    "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult><ListBucketResult/>",
    "<!DOCTYPE x [<!ENTITY a \"b\">]><ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
    "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>&bomb;</Key></Contents></ListBucketResult>",
    "<ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>&#0;</Key></Contents></ListBucketResult>",
    "<ListBucketResult><IsTruncated>false</Contents></IsTruncated></ListBucketResult>",
    "<ListBucketResult><IsTruncated>false</IsTruncated><<</ListBucketResult>",
  ])
  func whatIsNoListing(_ text: String) {
    #expect(throws: (any Error).self) { try listing(text) }
  }

  @Test func depthIsLimited() {
    let deep = String(repeating: "<a>", count: 100_000)
    #expect(throws: XMLScanner.Malformed("it is nested too deeply")) {
      var scanner = XMLScanner(Array(deep.utf8))
      while try scanner.next() != nil {}
    }
  }
}
