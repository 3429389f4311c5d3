import ArgumentParser
import ChildProtocol
import ControlAPI
import DroverModel
import Glibc
import LinuxSystem

struct RestoreFileCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "file", abstract: "Restore an image's or a volume's backup into a file, straight from its store.",
    discussion: """
      Needs no daemon. Of an image the file is what was backed up, byte for byte, and its SHA-512 is checked; of a volume
      it is the raw disk, with its backing image's backup below what the volume has changed. The file is there only when it
      is complete.

        drover restore file disk.img --from 'file:///mnt/backups?backingImage=parrot'
        drover restore file disk.img --from 's3://bucket@region/prefix?backup=backup-0123&volume=vol1' --credentials KEYS
        drover restore file - --from URL | dd of=/dev/vdb bs=1M

      With --salvage what can't be read any more becomes zeros, and FILE.damage.json says where; the exit code is 3 then.
      """)

  @Argument(help: "A file that is not there yet; a device or a pipe; - is standard output.") var file: String

  @Option(
    help: ArgumentHelp("TARGET?backingImage=NAME, or TARGET?backup=NAME&volume=NAME.", valueName: "url"))
  var from: String

  @Flag(help: "Replace the file, if it is there, when all has come.") var force = false

  @Flag(help: "Go on past blocks that are missing or bad.") var salvage = false

  @OptionGroup var backup: StoredBackupOptions
  @OptionGroup var progress: ProgressOptions

  func run() throws {
    let place = try Place(file)
    if case .file(let path) = place { try Place.checkFree(path, force: force) }
    let source = try backup.source(from, params: salvage ? ["salvage": true] : [:], cacheBytes: nil)
    let display = progress.display()
    let began = monotonicSeconds()
    let job = try LocalJob(
      Pipeline(from: source.stages, to: [sink(place)]), secrets: source.secrets,
      descriptors: place.descriptors, subject: file, display: display)
    var losses = Losses(map: place.damageMap, isAsStored: !backup.decrypt)
    let result: JobResult
    do {
      result = try place.keepingFlags { try job.run { try losses.hear($0, $1) } }
    } catch {
      losses.forget()
      throw (error as? Fault)?.withoutDaemon ?? error
    }
    try place.settle()
    try losses.finish(size: result.size, replaced: force)
    report(result, losses, display)
    display.summary(succeeded: 1, failed: 0, seconds: monotonicSeconds() - began)
    if losses.isAny || losses.isOtherContent(result) { throw ExitCode(3) }
  }

  private func sink(_ place: Place) -> Pipeline.Stage {
    guard case .file(let path) = place else { return Pipeline.Stage("save", .sink, ["descriptor": 3]) }
    // Nobody knows what a volume's should be.
    let hash = !StoredBackupOptions.isVolume(from)
    return Pipeline.Stage(
      "file", .sink, ["path": .string(path), "replace": .bool(force), "hash": .bool(hash)])
  }

  private func report(_ result: JobResult, _ losses: Losses, _ display: any ProgressDisplay) {
    if losses.isAny {
      let map = losses.mapPath.map { "; \($0) says where" } ?? ""
      display.note(file, "restored, but \(ByteSize.text(losses.map.lostBytes)) are lost and read as zeros\(map)")
    } else if losses.isOtherContent(result) {
      display.note(file, "restored, and no block is lost, but the SHA-512 is not the one that the backup tells")
    } else {
      let size = result.size.map { ", \(ByteSize.text($0))" } ?? ""
      let checksum = backup.decrypt ? nil : result.checksum
      display.note(file, "restored\(size)" + (checksum.map { ", SHA-512 \($0)" } ?? ""))
    }
  }
}

/// What becomes of the losses that are told while the restore runs.
private struct Losses {
  private(set) var map = DamageMap()
  /// Where the map goes; nil: nowhere, since the worker's warnings name each loss anyway.
  let mapPath: String?
  private let isAsStored: Bool
  /// What the backup says of the whole.
  private var checksum = ""

  /// - Parameter isAsStored: Whether what is restored has the checksum of what was backed up.
  init(map path: String?, isAsStored: Bool) {
    mapPath = path
    self.isAsStored = isAsStored
  }

  var isAny: Bool { !map.lost.isEmpty }

  mutating func hear(_ kind: String, _ value: JSONValue) throws {
    switch kind {
    case "source": checksum = value["checksum"]?.string ?? ""
    case "damage":
      try map.add(value)
      // Before the file is in its place: it must never lie there without a word about what it lacks.
      if map.lost.count == 1, let mapPath { try map.write(to: mapPath) }
    default: break
    }
  }

  func isOtherContent(_ result: JobResult) -> Bool {
    guard isAsStored, !isAny, !checksum.isEmpty, let has = result.checksum else { return false }
    return has != checksum.lowercased()
  }

  mutating func finish(size: Int64?, replaced: Bool) throws {
    map.size = size
    guard let mapPath else { return }
    if isAny { try map.write(to: mapPath) } else if replaced { try? Folder.remove(file: mapPath) }
  }

  /// The restore has failed.
  func forget() { if isAny, let mapPath { try? Folder.remove(file: mapPath) } }
}

/// Where the bytes go.
private enum Place {
  /// Absolute.
  case file(String)
  case stream(OpenFile)
  case standardOutput

  init(_ text: String) throws {
    guard text != "-" else {
      guard isatty(STDOUT_FILENO) == 0 else {
        throw Fault(.invalid, "standard output is a terminal", hint: "name a file, or pipe it somewhere")
      }
      self = .standardOutput
      return
    }
    let path = absolutePath(text)
    do throws(SystemError) {
      // A device or a pipe takes the bytes as they come.
      if let status = try FileStatus.of(path), !status.isRegular, !status.isFolder {
        self = .stream(try OpenFile.open(path, .write))
      } else {
        self = .file(path)
      }
    } catch {
      throw Fault(.io, "opening \(text): \(error)", retry: .never)
    }
  }

  var descriptor: Int32? {
    switch self {
    case .file: nil
    case .stream(let file): file.descriptor
    case .standardOutput: STDOUT_FILENO
    }
  }

  /// For the worker: number here and number there.
  var descriptors: [(parent: Int32, child: Int32)] {
    guard let descriptor else { return [] }
    return [(descriptor, 3)]
  }

  var damageMap: String? { if case .file(let path) = self { "\(path).damage.json" } else { nil } }

  /// Asked before the store is, which may be far away.
  static func checkFree(_ path: String, force: Bool) throws(Fault) {
    let status = try? FileStatus.of(path, followLinks: false)
    guard let status else { return }
    if status.isFolder { throw Fault(.conflict, "\(path) is a folder", hint: "name a file in it") }
    guard force else {
      throw Fault(
        .conflict, "\(path) is there already", hint: "name another file, or replace it when all has come with --force")
    }
  }

  /// The worker makes a stream not wait, for all who have it.
  func keepingFlags<R>(_ body: () throws -> R) rethrows -> R {
    guard let descriptor else { return try body() }
    let flags = fcntl(descriptor, F_GETFL)
    defer { if flags >= 0 { _ = fcntl(descriptor, F_SETFL, flags) } }
    return try body()
  }

  /// What a device was given has reached it.
  func settle() throws(Fault) {
    guard case .stream(let file) = self, (try? file.status().isBlockDevice) == true else { return }
    do throws(SystemError) { try file.sync() } catch {
      throw Fault(.io, "syncing \(file.path): \(error)", retry: .never)
    }
  }
}
