import Glibc
import LinuxSystem
import StageKit

/// The folder that the attempts of one job work in, and the image file in it, locked.
///
/// A file `partial` beside the image holds an identifier that is made anew with the folder. A later attempt goes on only
/// with the very folder that its checkpoint named.
final class PartialImage: Sendable {
  let folder: String
  let file: OpenFile
  let identifier: String

  private init(folder: String, file: OpenFile, identifier: String) {
    self.folder = folder
    self.file = file
    self.identifier = identifier
  }

  /// Goes on with the folder that has this identifier, or removes what is there and begins anew.
  static func open(_ folder: String, continuing identifier: String?) throws -> PartialImage {
    if let old = try existing(folder), try lock(old) {
      if let identifier, try marker(folder) == identifier {
        // What an attempt made that died between its last block and its last step is made anew.
        for name in try Folder.list(folder) where name != "backing" && name != "partial" {
          try Folder.removeTree("\(folder)/\(name)")
        }
        return PartialImage(folder: folder, file: old, identifier: identifier)
      }
    }
    try Folder.removeTree(folder)
    return try begin(folder)
  }

  private static func existing(_ folder: String) throws -> OpenFile? {
    guard try FileStatus.of(folder + "/backing", followLinks: false)?.isRegular == true else { return nil }
    return try OpenFile.open(folder + "/backing", .readWrite, followLinks: false)
  }

  private static func lock(_ file: OpenFile) throws -> Bool {
    guard try file.tryLockExclusive() else {
      throw StageError("locked", "another job is writing \(file.path)", retry: .transient)
    }
    return true
  }

  private static func marker(_ folder: String) throws -> String? {
    guard try FileStatus.of(folder + "/partial", followLinks: false)?.isRegular == true else { return nil }
    return String(decoding: try Folder.readFile(folder + "/partial", limit: 64), as: UTF8.self)
  }

  private static func begin(_ folder: String) throws -> PartialImage {
    let identifier = String(UInt64.random(in: .min ... .max), radix: 16)
    try Folder.create(folder)
    let file = try OpenFile.open(folder + "/backing", .createNew(permissions: 0o600))
    _ = try lock(file)
    try Folder.writeDurably(folder + "/partial", Array(identifier.utf8))
    try Folder.sync(Folder.parent(of: folder))
    return PartialImage(folder: folder, file: file, identifier: identifier)
  }

  /// Puts the folder in its place, durably and in one step, if that place is free. The file's times do not change by it.
  func rename(to place: String) throws {
    try Folder.remove(file: folder + "/partial")
    try Folder.sync(folder)
    do {
      try Folder.renameNew(folder, place)
    } catch {
      // Some file systems can't rename without replacing; an empty folder is all that could be replaced there.
      guard error.errno == EINVAL || error.errno == ENOSYS else { throw error }
      try Folder.rename(folder, place)
    }
  }
}
