import ArgumentParser
import ControlAPI
import ControlClient
import DroverModel
import Glibc
import LinuxSystem

struct ImageSaveCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "save", abstract: "Write an image's bytes to a local file, or to standard output.")

  @Argument var name: String
  @Argument(help: "A file, which is replaced only when all has come; - is standard output.") var file: String

  @OptionGroup var output: OutputOptions
  @OptionGroup var progress: ProgressOptions
  @OptionGroup var connection: ConnectionOptions

  func run() throws {
    let key = try ObjectReference.key(.backingImage, name)
    let daemon = connection.daemon
    if file == "-" {
      guard isatty(STDOUT_FILENO) == 0 else {
        throw Fault(.invalid, "standard output is a terminal", hint: "name a file, or pipe it somewhere")
      }
      return try save(key, daemon, to: STDOUT_FILENO)
    }
    do {
      // A device or a pipe takes the bytes as they come.
      if let status = try FileStatus.of(file), !status.isRegular {
        guard !status.isFolder else { throw Fault(.invalid, "\(file) is a folder") }
        let target = try OpenFile.open(file, .write)
        return try withExtendedLifetime(target) { try save(key, daemon, to: target.descriptor) }
      }
      try saveDurably(key, daemon)
    } catch let error as SystemError {
      throw Fault(
        error.errno == ENOSPC ? .noSpace : .io, "writing \(file): \(String(cString: strerror(error.errno)))",
        retry: .never)
    }
    if !progress.quiet { progress.display().note("\(key)", "saved to \(file)") }
  }

  private func saveDurably(_ key: ResourceKey, _ daemon: Daemon) throws {
    let temporary = "\(file).tmp.\(getpid())"
    let target = try OpenFile.open(temporary, .create(permissions: 0o644))
    do {
      try save(key, daemon, to: target.descriptor)
      try target.sync()
      try Folder.rename(temporary, file)
    } catch {
      unlink(temporary)
      throw error
    }
  }

  private func save(_ key: ResourceKey, _ daemon: Daemon, to descriptor: Int32) throws {
    Interrupts.watch()
    let display = progress.display()
    defer { display.clear() }
    let meter = TransferMeter("\(key)", phase: "saving", total: nil, display)
    do {
      try daemon.client.download(
        APIPath.content(image: key.name), to: descriptor, isCancelled: { Interrupts.isPending },
        progress: { meter.advance($0, of: $1) })
    } catch {
      try Interrupts.check()
      throw Self.failure(of: key, daemon) ?? error
    }
  }

  /// A save that fails in the middle can only break the connection; what went wrong is told by its job.
  private static func failure(of key: ResourceKey, _ daemon: Daemon) -> Fault? {
    let owner: JSONValue = ["kind": .string(key.kind.rawValue), "name": .string(key.name)]
    let saves = (try? daemon.resources(.job))?.filter {
      $0.status["type"] == .string(Job.Kind.save.rawValue) && $0.status["owner"] == owner
    }
    let latest = saves?.max { ($0.metadata.creationTimestamp ?? "") < ($1.metadata.creationTimestamp ?? "") }
    guard let error = latest?.status["error"], let code = error["code"]?.string, let message = error["message"]?.string,
      code != Fault.Code.uploadInterrupted.rawValue
    else { return nil }
    return Fault(Fault.Code(rawValue: code), message, hint: error["hint"]?.string)
  }
}
