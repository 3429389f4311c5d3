import ArgumentParser
import DroverModel
import Glibc
import LinuxSystem

struct BackupOpenCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "open", abstract: "Serve a backup read-only over NBD, without restoring it.",
    discussion: """
      Needs no daemon. Prints the address when clients can connect, and serves them until it is interrupted (SIGINT or
      SIGTERM), which is its usual end. Blocks are read and checked when somebody asks for them. What is served is the disk
      that a guest sees; --view file serves an image's file as it is.

        drover backup open 'file:///mnt/backups?backup=backup-0123&volume=vol1' --socket /tmp/vol1.sock
        qemu-img convert -O qcow2 'nbd+unix:///?socket=/tmp/vol1.sock' vol1.qcow2
        nbdcopy 'nbd+unix:///?socket=/tmp/vol1.sock' vol1.img
      """)

  @Argument(
    help: ArgumentHelp("TARGET?backingImage=NAME, or TARGET?backup=NAME&volume=NAME.", valueName: "url"))
  var url: String

  // `--socket` is the whole program's option; here it says where to serve.
  @OptionGroup var connection: ConnectionOptions

  @Option(help: "guest or file.") var view: DiskView = .guest

  @OptionGroup var backup: StoredBackupOptions
  @OptionGroup var progress: ProgressOptions

  /// Bytes of blocks that are kept for the next read.
  private static let cache: Int64 = 128 << 20

  func run() throws {
    // What is encrypted hides what format is in it.
    let view = backup.decrypt ? DiskView.file : view
    guard let socket = connection.path else {
      throw Fault(.invalid, "there is no socket to serve on", hint: "name one: --socket PATH")
    }
    let path = absolutePath(socket)
    let source = try backup.source(url, params: ["view": .string(view.rawValue)], cacheBytes: Self.cache)
    let listener = try Self.listen(path)
    defer { unlink(path) }
    let job = try LocalJob(
      Pipeline(from: source.stages, to: []), secrets: source.secrets, descriptors: [(listener.descriptor, 3)],
      subject: url, display: progress.display())
    do {
      try job.serve {
        print("nbd+unix:///?socket=\(Self.escaped(path))")
        fflush(nil)
      }
    } catch {
      throw (error as? Fault)?.withoutDaemon ?? error
    }
  }

  private static func listen(_ path: String) throws(Fault) -> ListeningSocket {
    do throws(SystemError) { return try ListeningSocket.bind(path, permissions: 0o600) } catch {
      switch error.errno {
      case EADDRINUSE:
        throw Fault(.conflict, "\(path) is there already", hint: "name a path for the socket where nothing is")
      case ENAMETOOLONG:
        throw Fault(
          .invalid, "\(path) is longer than the \(SocketFile.longestPath) bytes that a socket's path may have")
      case ENOENT: throw Fault(.notFound, "making the socket \(path): \(error.answer)")
      case EACCES, EPERM, EROFS: throw Fault(.notPermitted, "making the socket \(path): \(error.answer)")
      default: throw Fault(.io, "making the socket \(path): \(error.answer)", retry: .never)
      }
    }
  }

  /// In a query.
  private static func escaped(_ path: String) -> String {
    var output = ""
    for byte in path.utf8 {
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "/"), UInt8(ascii: "-"), UInt8(ascii: "_"),
        UInt8(ascii: "."), UInt8(ascii: "~"), UInt8(ascii: ":"), UInt8(ascii: ","), UInt8(ascii: "@"):
        output.unicodeScalars.append(Unicode.Scalar(byte))
      default:
        let digits = String(byte, radix: 16, uppercase: true)
        output += digits.count == 1 ? "%0\(digits)" : "%\(digits)"
      }
    }
    return output
  }
}

/// What of a backup is served.
enum DiskView: String, ExpressibleByArgument, CaseIterable {
  case guest, file
}
