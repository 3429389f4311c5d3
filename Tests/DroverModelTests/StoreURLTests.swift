import DroverModel
import Testing

/// The tables of BackupstoreTests hold the same inputs: the daemon and the worker must read a URL alike.
@Suite struct StoreURLTests {
  @Test(arguments: [
    ("file:///var/store", "file:///var/store"),
    ("vfs:///var/store", "file:///var/store"),
    ("VFS:///var//store///", "file:///var/store"),
    ("file:///a%20b/c%3Fd", "file:///a%20b/c%3Fd"),
    ("file:///a b/c%3fd", "file:///a%20b/c%3Fd"),
    ("file:///%61%2Fb%2f%2fc", "file:///a/b/c"),
    ("file:///100%25", "file:///100%25"),
    ("file:///gr\u{fc}n", "file:///gr%C3%BCn"),
    ("file:///gru\u{308}n", "file:///gru%CC%88n"),
    ("file:///gr%c3%bcn", "file:///gr%C3%BCn"),
    ("file:///a/\u{301}b", "file:///a/%CC%81b"),
    ("file:///", "file:///"),
  ])
  func targets(_ text: String, _ canonical: String) throws {
    let url = try TargetURL(text)
    #expect(url.text == canonical)
    #expect(try TargetURL(canonical) == url)
    #expect(try TargetURL(canonical).hashValue == url.hashValue)
  }

  @Test func composedAndDecomposedLettersAreTwoFolders() throws {
    #expect(try TargetURL("file:///gr\u{fc}n") != TargetURL("file:///gru\u{308}n"))
    #expect(TargetURL(folder: "/x//sp ace/") == (try TargetURL("file:///x/sp%20ace")))
  }

  @Test(arguments: [
    "", "/var/store", "file:/var", "file://host/var", "file://", "file:///a/../b", "file:///a/./b", "file:///a%zz",
    "file:///a%2", "file:///a%", "file:///a%00b", "file:///a%ff", "file:///a/%2e%2E/b", "file:///a%2F..", "file:///%2e",
  ])
  func refusals(_ text: String) {
    #expect(fault { () throws(Fault) in try TargetURL(text) }?.code == .invalid, "\(text)")
  }

  @Test(arguments: ["file:///a%0ab", "file:///a\nb", "file:///a%7fb", "file:///a%1Bb"])
  func controlBytes(_ text: String) {
    #expect(fault { () throws(Fault) in try TargetURL(text) }?.code == .invalid, "\(text)")
  }

  @Test(arguments: [
    ("s3://bucket@region/", "s3://bucket@region/", "s3://bucket@region/"),
    ("S3://bucket@region//a/b c//", "s3://bucket@region/a/b%20c", "s3://bucket@region/a/b%20c"),
    ("s3://my.bucket-1/", "s3://my.bucket-1/", "s3://my.bucket-1/"),
    ("nfs://Host.example:/x/y/", "nfs://host.example:/x/y", "nfs://host.example:/x/y"),
    ("nfs://[FE80::1]:/", "nfs://[fe80::1]:/", "nfs://[fe80::1]:/"),
    (
      "nfs://h:/x?nfsOptions=nfsvers%3D3%2Ctimeo=5", "nfs://h:/x", "nfs://h:/x?nfsOptions=nfsvers=3,timeo=5"
    ),
    ("nfs://h:/x?nfsOptions=soft&nfsOptions=timeo=450", "nfs://h:/x", "nfs://h:/x?nfsOptions=soft,timeo=450"),
    ("nfs://h:/x?nfsOptions=a,b&nfsOptions=soft", "nfs://h:/x", "nfs://h:/x?nfsOptions=a,b&nfsOptions=soft"),
    ("nfs://h:/x?nfsOptions=", "nfs://h:/x", "nfs://h:/x"),
  ])
  func remoteTargets(_ text: String, _ canonical: String, _ whole: String) throws {
    let url = try TargetURL(text)
    #expect(url.canonical == canonical && url.text == whole)
    let again = try TargetURL(whole)
    #expect(again == url && again.options == url.options && again.text == whole)
  }

  @Test(arguments: [
    "s3://", "s3://b@r/", "s3://bucket", "s3://bucket@region", "s3://a@b@c/", "s3://bucket@/", "s3://@region/",
    "s3://bucket@host:9000/", "s3://buck et/", "s3://bucket/a/../b", "s3://bucket/a%00", "s3://bucket/a$b",
    "s3://bucket/a,b", "s3://bucket/?x=y", "s3://bucket/a%", "s3://buck..et/", "nfs://", "nfs://h/x", "nfs://:/x",
    "nfs://h:2049/x", "nfs://h:", "nfs://h:/a/./b", "nfs://h h:/x", "nfs://h:/x?port=1", "nfs://h:/x,y",
    "nfs://h:/x?nfsOptions=port=0", "nfs://h:/x?nfsOptions=port=99999", "nfs://h:/x?nfsOptions=nfsvers=2",
    "nfs://h:/x?nfsOptions=timeo=x", "nfs://h:/x?nfsOptions=port", "nfs://h:/x?nfsOptions=so%20ft",
    "nfs://u@h:/x", "nfs://[zz]:/x",
  ])
  func remoteRefusals(_ text: String) {
    #expect(fault { () throws(Fault) in try TargetURL(text) }?.code == .invalid, "\(text)")
  }

  /// Two prefixes of a bucket that differ in case only are two places; a host's case and mount options make none.
  @Test func onePlaceAndTwo() throws {
    #expect(try TargetURL("s3://bucket@r/Prefix") != TargetURL("s3://bucket@R/prefix/"))
    let plain = try TargetURL("nfs://h:/x")
    #expect(try TargetURL("nfs://H:/x/?nfsOptions=soft") == plain)
    #expect(try TargetURL("nfs://h:/y") != plain)
  }

  @Test func mountOptions() throws {
    let text = "nfs://h:/x?nfsOptions=vers=4.1,port=1,mountport=2,timeo=5,retrans=3,hard,soft,actimeo=1"
    guard case .export(let export) = try TargetURL(text).place else {
      Issue.record("no export")
      return
    }
    let mount = export.mount
    #expect(mount.version == .v4 && mount.port == 1 && mount.mountPort == 2)
    #expect(mount.timeoutSeconds == 0.5 && mount.retransmissions == 3)
    #expect(mount.ineffective == ["vers=4.1", "hard", "actimeo=1"])
  }

  /// The table of BackupstoreTests holds the same inputs.
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
    #expect(url.text == canonical && url.image == "parrot")
    #expect(try ImageBackupURL(canonical).text == canonical)
  }

  @Test(arguments: [
    ("file:///s?backingImage=parrot", "file:///s", "parrot"),
    ("file:///s?\\u0026backingImage=parrot", "file:///s", "parrot"),
    ("file:///s?u0026backingImage=parrot", "file:///s", "parrot"),
    ("file:///u0026/s?backingImage=parrot", "file:///u0026/s", "parrot"),
    ("file:///x/menu0026?backingImage=parrot", "file:///x/menu0026", "parrot"),
    ("file:///s?backingImage=u0026x", "file:///s", "u0026x"),
    ("file:///s?backingImage=par%72ot", "file:///s", "parrot"),
    ("file:///sp ace?backingImage=parrot", "file:///sp%20ace", "parrot"),
    (" '\"vfs:///sp%20ace?backingImage=parrot\"' ", "file:///sp%20ace", "parrot"),
  ])
  func backups(_ text: String, _ target: String, _ name: String) throws {
    let url = try ImageBackupURL(text)
    #expect(url.target.text == target)
    #expect(url.image == name)
    #expect(try ImageBackupURL(url.text) == url)
  }

  @Test(arguments: [
    "file:///s", "file:///s?backingImage=", "file:///s?backingImage=x", "file:///s?backingImage=..",
    "file:///s?backingImage=a/b", "file:///s?backingImage=a%2Fb", "file:///s?backingImage=%2e%2e%2fetc",
    "file:///s?backingImage=-a", "file:///s?backingImage=a%0a", "file:///s?backingImage=a%00b",
    "file:///s?backingImage=a%f", "file:///a%zz?backingImage=parrot",
  ])
  func badBackups(_ text: String) {
    #expect(fault { () throws(Fault) in try ImageBackupURL(text) }?.code == .invalid, "\(text)")
  }
}
