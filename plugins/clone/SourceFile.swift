import DiskImage
import LinuxSystem
import StageKit

/// An image file that is open to be read, and must stay as it is.
struct SourceFile {
  let file: OpenFile
  let status: FileStatus
  let stamp: FileStamp

  /// A symbolic link is refused: its target can change hands between planning and opening.
  init(_ path: String) throws {
    guard let there = try FileStatus.of(path, followLinks: false) else {
      throw StageError("not-found", "there is no image file \(path)")
    }
    guard !there.isSymbolicLink else { throw StageError("invalid", "\(path) is a symbolic link, not an image file") }
    guard there.isRegular else { throw StageError("invalid", "\(path) is not a regular file") }
    file = try OpenFile.open(path, .read, followLinks: false)
    status = try file.status()
    guard status.isRegular else { throw StageError("invalid", "\(path) is not a regular file") }
    stamp = FileStamp(status)
  }

  func requireUnchanged() throws {
    let now = try FileStatus.of(file.path, followLinks: false)
    guard FileStamp(try file.status()) == stamp, now.map(FileStamp.init) == stamp else {
      throw changed("it was \(now == nil ? "removed" : "written, replaced or touched")")
    }
  }

  func changed(_ how: String) -> StageError {
    StageError(
      "source-changed", "\(file.path) is not what it was when it was opened: \(how)",
      hint: "leave the image alone while it is being read, and start the job again")
  }
}
