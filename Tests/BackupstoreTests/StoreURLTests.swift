import Testing

@testable import Backupstore

@Suite struct StoreURLTests {
  @Test(arguments: [
    ("file:///var/store", "/var/store", "file:///var/store"),
    ("vfs:///var/store", "/var/store", "file:///var/store"),
    ("VFS:///var//store///", "/var/store", "file:///var/store"),
    ("file:///a%20b/c%3Fd", "/a b/c?d", "file:///a%20b/c%3Fd"),
    ("file:///a b/c%3fd", "/a b/c?d", "file:///a%20b/c%3Fd"),
    ("file:///%61%2Fb%2f%2fc", "/a/b/c", "file:///a/b/c"),
    ("file:///100%25", "/100%", "file:///100%25"),
    ("file:///gr\u{fc}n", "/gr\u{fc}n", "file:///gr%C3%BCn"),
    ("file:///gru\u{308}n", "/gru\u{308}n", "file:///gru%CC%88n"),
    ("file:///gr%c3%bcn", "/gr\u{fc}n", "file:///gr%C3%BCn"),
    ("file:///a/\u{301}b", "/a/\u{301}b", "file:///a/%CC%81b"),
    ("file:///", "/", "file:///"),
    ("\"file:///quoted\"", "/quoted", "file:///quoted"),
    (" 'vfs:///quoted' ", "/quoted", "file:///quoted"),
    ("file:///store?nfsOptions=soft", "/store", "file:///store"),
  ])
  func targets(_ text: String, _ path: String, _ canonical: String) throws {
    let url = try StoreURL(text)
    #expect(url.path == path)
    #expect(url.description == canonical)
    #expect(try StoreURL(canonical) == url)
  }

  @Test(arguments: [
    ("", StoreError.Code.invalid), ("/var/store", .invalid), ("file:/var", .invalid), ("file://host/var", .invalid),
    ("file://", .invalid), ("file:///a/../b", .invalid), ("file:///a/./b", .invalid), ("file:///a%zz", .invalid),
    ("file:///a%2", .invalid), ("file:///a%", .invalid), ("file:///a%00b", .invalid), ("file:///a%ff", .invalid),
    ("file:///a/%2e%2E/b", .invalid), ("file:///a%2F..", .invalid), ("file:///%2e", .invalid),
    ("s3://b@region/prefix", .invalid), ("nfs://host/export", .invalid), ("cifs://h/s", .notSupported),
    ("azblob://c@core.windows.net/", .notSupported), ("gopher://x/", .notSupported),
  ])
  func refusals(_ text: String, _ code: StoreError.Code) throws {
    let error = storeError { _ = try StoreURL(text) }
    #expect(error?.code == code)
    #expect(error?.retry == .never)
  }

  /// The table of DroverModelTests holds the same inputs.
  @Test(arguments: [
    ("s3://bucket@region/pre//fix/?backingImage=parrot", "s3://bucket@region/pre/fix?backingImage=parrot"),
    ("s3://bucket/?backingImage=parrot", "s3://bucket/?backingImage=parrot"),
    (
      "nfs://Host:/x?nfsOptions=nfsvers=3%2Cport=1&backingImage=parrot",
      "nfs://host:/x?nfsOptions=nfsvers=3,port=1&backingImage=parrot"
    ),
    ("nfs://host:/x?backingImage=parrot", "nfs://host:/x?backingImage=parrot"),
  ])
  func remoteBackups(_ text: String, _ canonical: String) throws {
    let url = try ImageBackupURL(text)
    #expect(url.description == canonical && url.name == "parrot")
    #expect(try ImageBackupURL(canonical).description == canonical)
  }

  @Test(arguments: [
    ("file:///s?backingImage=parrot", "/s", "parrot"),
    ("vfs:///s?volume=v&backingImage=parrot", "/s", "parrot"),
    (#"file:///s?x=1\u0026backingImage=parrot"#, "/s", "parrot"),
    ("file:///s?x=1u0026backingImage=parrot", "/s", "parrot"),
    ("file:///s?\\u0026backingImage=parrot", "/s", "parrot"),
    ("file:///s?u0026backingImage=parrot", "/s", "parrot"),
    ("file:///u0026/s?backingImage=parrot", "/u0026/s", "parrot"),
    ("file:///x/menu0026?backingImage=parrot", "/x/menu0026", "parrot"),
    ("file:///s?backingImage=u0026x", "/s", "u0026x"),
    ("file:///s?backingImage=par%72ot", "/s", "parrot"),
    ("file:///sp ace?backingImage=parrot", "/sp ace", "parrot"),
    (" '\"vfs:///sp%20ace?backingImage=parrot\"' ", "/sp ace", "parrot"),
  ])
  func backups(_ text: String, _ path: String, _ name: String) throws {
    let url = try ImageBackupURL(text)
    #expect(url.target.path == path)
    #expect(url.name == name)
    #expect(try ImageBackupURL(url.description) == url)
  }

  @Test(arguments: [
    "file:///s", "file:///s?backup=b&volume=v", "file:///s?backingImage=", "file:///s?backingImage=x",
    "file:///s?backingImage=..", "file:///s?backingImage=a/b", "file:///s?backingImage=a%2Fb",
    "file:///s?backingImage=%2e%2e%2fetc", "file:///s?backingImage=-a", "file:///s?backingImage=a%0a",
    "file:///s?backingImage=a%00b", "file:///s?backingImage=a%f", "file:///a%zz?backingImage=parrot",
  ])
  func badNames(_ text: String) {
    #expect(storeError { _ = try ImageBackupURL(text) }?.code == .invalid)
  }

  @Test func names() {
    for name in ["ab", "A1", "0.", "a_b-c.d", String(repeating: "a", count: 255)] { #expect(StoreName.isValid(name)) }
    for name in ["", "a", ".a", "_a", "-a", "a b", "a/b", "\u{e4}b", "ab\n", String(repeating: "a", count: 256)] {
      #expect(!StoreName.isValid(name))
    }
    #expect(StoreName.isTemporary("backing-image.cfg.tmp.1234"))
    #expect(!StoreName.isTemporary("backing-image.cfg.tmp."))
    #expect(!StoreName.isTemporary("tmp.1234"))
  }
}
