import CLinux

extension Folder {
  /// Whether the file system can make one file share another's blocks. Tried with files that have no name, so nothing is
  /// left behind; false also where the folder can't be written.
  public static func offersReflink(_ path: String) -> Bool {
    unsafe clinux_folder_reflinks(path) == 1
  }
}
