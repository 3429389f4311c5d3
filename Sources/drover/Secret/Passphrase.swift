import DroverModel
import Glibc
import LinuxSystem

/// Passphrases from a person or a program. They never stand in the arguments or the environment.
enum Passphrase {
  /// All bytes up to the descriptor's end, as they are.
  static func read(descriptor: Int32) throws(Fault) -> SecretBytes {
    try read(descriptor, of: "descriptor \(descriptor)", untilLineEnd: false)
  }

  /// Asks at the terminal until it is interrupted, without showing what is typed; twice, and both must be the same.
  static func ask(for subject: String) throws -> SecretBytes {
    try atTerminal(for: subject) { (terminal) in
      let first = try line("Passphrase for \(subject): ", terminal)
      let second = try line("The same again: ", terminal)
      guard first == second else {
        throw Fault(.invalid, "the two passphrases differ", hint: "nothing was made; try again")
      }
      return first
    }
  }

  /// The same once: for one that opens something, where a wrong one shows.
  static func askOnce(for subject: String) throws -> SecretBytes {
    try atTerminal(for: subject) { try line("Passphrase for \(subject): ", $0) }
  }

  private static func atTerminal(
    for subject: String, _ question: (OpenFile) throws -> SecretBytes
  ) throws -> SecretBytes {
    let number = open("/dev/tty", O_RDWR | O_CLOEXEC)
    guard number >= 0 else {
      throw Fault(
        .invalid, "there is no terminal to ask for the passphrase of \(subject) at",
        hint: "--passphrase-fd 0 reads it from standard input")
    }
    let terminal = OpenFile(adopting: number, path: "/dev/tty")
    var usual = termios()
    guard tcgetattr(terminal.descriptor, &usual) == 0 else {
      throw Fault(.io, "could not ask at the terminal: \(String(cString: strerror(errno)))", retry: .never)
    }
    var silent = usual
    silent.c_lflag &= ~tcflag_t(ECHO)
    silent.c_lflag |= tcflag_t(ECHONL | ICANON)
    Interrupts.watch()
    // What was typed before the question does not count.
    tcsetattr(terminal.descriptor, TCSAFLUSH, &silent)
    defer { tcsetattr(terminal.descriptor, TCSAFLUSH, &usual) }
    return try question(terminal)
  }

  private static func line(_ question: String, _ terminal: OpenFile) throws -> SecretBytes {
    let text = Array(question.utf8)
    _ = write(terminal.descriptor, text, text.count)
    defer { if Interrupts.isPending { _ = write(terminal.descriptor, "\n", 1) } }
    do { return try read(terminal.descriptor, of: "the terminal", untilLineEnd: true) } catch {
      try Interrupts.check()
      throw error
    }
  }

  private static func read(_ descriptor: Int32, of source: String, untilLineEnd: Bool) throws(Fault) -> SecretBytes {
    let room = UnsafeMutableRawBufferPointer.allocate(byteCount: Secret.largest + 1, alignment: 16)
    defer {
      if let base = room.baseAddress { explicit_bzero(base, room.count) }
      room.deallocate()
    }
    var count = 0
    while count < room.count {
      // A signal ends the wait, where it would only interrupt the reading for as long as its handler runs. It may also come
      // right before a wait begins, which is why none is long.
      var wanted = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
      while true {
        if Interrupts.isPending { throw Fault(.cancelled, "interrupted") }
        let ready = poll(&wanted, 1, 250)
        if ready > 0 || (ready < 0 && errno != EINTR) { break }
      }
      let got = Glibc.read(descriptor, room.baseAddress! + count, room.count - count)
      if got < 0 {
        if errno == EINTR { continue }
        throw Fault(
          .io, "could not read the passphrase from \(source): \(String(cString: strerror(errno)))", retry: .never)
      }
      if got == 0 { break }
      count += got
      if untilLineEnd, room[count - 1] == UInt8(ascii: "\n") {
        count -= 1
        break
      }
    }
    guard count <= Secret.largest else {
      throw Fault(.invalid, "the passphrase from \(source) has more than \(Secret.largest) bytes")
    }
    return SecretBytes(copying: UnsafeRawBufferPointer(rebasing: room[..<count]))
  }
}
