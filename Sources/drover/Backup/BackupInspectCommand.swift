import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel

struct BackupInspectCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "inspect", abstract: "Read from the store what it says of a backup.")

  @Argument(help: ArgumentHelp("TARGET?backingImage=NAME, or the name of a BackupBackingImage.", valueName: "url|name"))
  var backup: String

  @OptionGroup var output: OutputOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let daemon = connection.daemon
    let url = try BackupReference(backup).url(daemon)
    let fields: [String: JSONValue] = try daemon.client.post(
      APIPath.inspectBackup, body: InspectBackupRequest(url: url))
    try ObjectOutput(format: output.format).show(fields) {
      output.format == .name ? url + "\n" : yaml(.object(fields))
    }
  }
}

/// A backup as it is named on the command line.
struct BackupReference {
  let text: String

  init(_ text: String) { self.text = text }

  private var isURL: Bool { text.contains("://") }

  /// Of the store.
  func url(_ daemon: Daemon) throws -> String {
    if isURL {
      return VolumeBackupURL.isMeant(by: text)
        ? try VolumeBackupURL(text, field: "the backup").text : try ImageBackupURL(text, field: "the backup").text
    }
    var key = try ObjectReference.key(.backupBackingImage, text)
    let found = try daemon.resourceIfPresent(key)
    // The name of a volume's backup, where no image's has it.
    let volumes = ResourceKey(.backup, key.name)
    if found == nil, let backup = try daemon.resourceIfPresent(volumes) {
      key = volumes
      if let url = backup.status["url"]?.string { return url }
    }
    let status = try found?.status ?? daemon.resource(key).status
    guard let url = status["url"]?.string else {
      throw Fault(.conflict, "\(key) has no URL yet: it is \(status["state"]?.string ?? "unknown")")
    }
    return url
  }

  /// Of the object.
  func key(_ daemon: Daemon) throws -> ResourceKey {
    guard isURL else {
      let key = try ObjectReference.key(.backupBackingImage, text)
      // The name of a volume's backup, where no image's has it.
      let volumes = ResourceKey(.backup, key.name)
      guard try daemon.resourceIfPresent(key) == nil, try daemon.resourceIfPresent(volumes) != nil else { return key }
      return volumes
    }
    if VolumeBackupURL.isMeant(by: text) { return try volumeKey(daemon) }
    let wanted = try ImageBackupURL(text, field: "the backup")
    let found = try daemon.resources(.backupBackingImage).first { backup in
      guard let url = backup.status["url"]?.string else { return false }
      return (try? ImageBackupURL(url)) == wanted
    }
    guard let found else {
      throw Fault(
        .notFound, "no BackupBackingImage has the URL \(wanted)",
        hint: "make one for it first, with userCreated: false, backingImage: \(wanted.image) and its backupTargetName")
    }
    return ResourceKey(.backupBackingImage, found.metadata.name)
  }

  private func volumeKey(_ daemon: Daemon) throws -> ResourceKey {
    let wanted = try VolumeBackupURL(text, field: "the backup")
    let found = try daemon.resources(.backup).first { backup in
      guard let url = backup.status["url"]?.string else { return false }
      return (try? VolumeBackupURL(url)) == wanted
    }
    guard let found else {
      throw Fault(.notFound, "no Backup has the URL \(wanted)", hint: "drover target sync looks what is in a store")
    }
    return ResourceKey(.backup, found.metadata.name)
  }
}
