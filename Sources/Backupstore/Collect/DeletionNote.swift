import LinuxSystem

/// A file of a job's folder. It says that an attempt of the job saw the backup listed and removed it, so that the next
/// attempt finishes the work of one that died in between.
struct DeletionNote {
  var path: String

  func write(_ backup: String) throws(StoreError) {
    do throws(SystemError) { try Folder.writeDurably(path, Array(backup.utf8), permissions: 0o600) } catch {
      throw .jobFolder(error)
    }
  }

  /// Whether it is there and is about this backup.
  func names(_ backup: String) throws(StoreError) -> Bool {
    do throws(SystemError) {
      guard try FileStatus.of(path) != nil else { return false }
      return try Folder.readFile(path, limit: 1024) == Array(backup.utf8)
    } catch {
      throw .jobFolder(error)
    }
  }

  func remove() { try? Folder.remove(file: path) }
}
