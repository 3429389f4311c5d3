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
