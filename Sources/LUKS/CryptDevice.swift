private import CCryptsetup
import DiskImage
private import Glibc
private import Synchronization

/// libcryptsetup is not made for threads, and initialises itself in its first calls: one owner of a device at a time in
/// this process. A derivation is to be alone on the host anyway.
private let oneAtATime = Mutex(())

/// A header that libcryptsetup works on, in a file that only this process sees. It never opens a device, and never asks
/// the device-mapper for anything.
@safe struct CryptDevice: ~Copyable {
  private let device: OpaquePointer
  private let messages: Messages

  /// What the library says; it calls on the thread that called it.
  private final class Messages {
    let log: (String) -> Void
    var lastError: String?
    init(_ log: @escaping (String) -> Void) { self.log = log }
  }

  /// Runs `body` with the file at `path`, alone in this process.
  static func with<R: Sendable>(
    _ path: String, log: @escaping (String) -> Void, _ body: (inout CryptDevice) throws(LUKSError) -> R
  ) throws(LUKSError) -> R {
    try oneAtATime.withLock { (_) throws(LUKSError) in
      var device = try open(path, Messages(log))
      return try body(&device)
    }
  }

  private static func open(_ path: String, _ messages: Messages) throws(LUKSError) -> CryptDevice {
    var device: OpaquePointer?
    let context = unsafe Unmanaged.passUnretained(messages).toOpaque()
    let answer = unsafe ccryptsetup_open(
      &device, path,
      { level, message, context in
        guard let message = unsafe message, let context = unsafe context,
          level == CRYPT_LOG_ERROR || level == CRYPT_LOG_NORMAL
        else { return }
        let messages = unsafe Unmanaged<Messages>.fromOpaque(context).takeUnretainedValue()
        let lines = unsafe String(cString: message).split(whereSeparator: \.isNewline)
        lines.forEach { messages.log(String($0)) }
        if level == CRYPT_LOG_ERROR, let last = lines.last { messages.lastError = String(last) }
      }, context)
    guard answer >= 0, let device = unsafe device else {
      throw .library(doing: "open a header in memory", errno: -answer, said: messages.lastError)
    }
    return unsafe CryptDevice(device, messages)
  }

  private init(_ device: OpaquePointer, _ messages: Messages) {
    unsafe self.device = device
    self.messages = messages
  }

  deinit { unsafe crypt_free(device) }

  private func check(_ answer: Int32, _ doing: String) throws(LUKSError) {
    guard answer < 0 else { return }
    throw .library(doing: doing, errno: -answer, said: messages.lastError)
  }

  /// Throws `damaged` where the library reads anything else in it than `header`, which was checked: JSON can say two things.
  mutating func load(_ header: LUKSHeader) throws(LUKSError) {
    try check(unsafe crypt_load(device, nil, nil), "read the LUKS header")
    guard header.version == 2 else { return }
    var json: UnsafePointer<CChar>?
    try check(unsafe crypt_dump_json(device, &json, 0), "read the LUKS header")
    guard let json = unsafe json, header.isSaid(by: unsafe String(cString: json).utf8)
    else { throw .damaged("its metadata can be read in two ways") }
  }

  var uuid: String { unsafe crypt_get_uuid(device).map { unsafe String(cString: $0) } ?? "" }
  var isLUKS1: Bool { unsafe crypt_get_type(device).map { unsafe String(cString: $0) } == CRYPT_LUKS1 }
  var dataOffset: UInt64 { unsafe crypt_get_data_offset(device) * 512 }

  /// - Parameter memory: KiB that the derivation takes, for the error.
  mutating func volumeKey(_ passphrase: KeyMaterial, memory: UInt64) throws(LUKSError) -> KeyMaterial {
    let length = unsafe crypt_get_volume_key_size(device)
    guard length > 0 else { throw .library(doing: "ask for the length of the key", errno: EINVAL, said: nil) }
    let key = KeyMaterial(count: Int(length))
    var count = Int(length)
    let answer = unsafe passphrase.withBytes { passphrase in
      unsafe key.withMutableBytes { key in
        unsafe crypt_volume_key_get(
          device, CRYPT_ANY_SLOT, key.baseAddress, &count, passphrase.baseAddress, passphrase.count)
      }
    }
    switch -answer {
    case EPERM, ENOENT: throw .wrongPassphrase(uuid: uuid)
    case ENOMEM: throw .memory(needed: memory, available: nil)
    default: try check(answer, "unlock the LUKS header")
    }
    return key
  }

  /// - Parameter derivation: Was checked but for its hash.
  mutating func setDerivation(_ derivation: KeyDerivation, memory: UInt64) throws(LUKSError) {
    let answer = unsafe ccryptsetup_set_pbkdf(
      device, derivation.function, derivation.hash, derivation.iterations ?? 0, UInt32(clamping: memory))
    if answer == -EINVAL { throw .option("hash", "\(derivation.hash) is not known to libcryptsetup") }
    try check(answer, "set the key derivation")
  }

  mutating func format(_ cipher: String, key: KeyMaterial) throws(LUKSError) {
    let parts = cipher.split(separator: "-", maxSplits: 1)
    let answer = unsafe key.withBytes { key in
      unsafe ccryptsetup_format(
        device, String(parts[0]), parts.count > 1 ? String(parts[1]) : "", key.baseAddress, key.count)
    }
    try check(answer, "make a LUKS header")
  }

  /// Opens the volume key, which must be `key`, to a passphrase.
  mutating func addKeySlot(
    _ passphrase: KeyMaterial, key: KeyMaterial, memory: UInt64
  ) throws(LUKSError) {
    let answer = unsafe passphrase.withBytes { passphrase in
      unsafe key.withBytes { key in
        unsafe crypt_keyslot_add_by_volume_key(
          device, CRYPT_ANY_SLOT, key.baseAddress, key.count, passphrase.baseAddress, passphrase.count)
      }
    }
    if answer == -ENOMEM { throw .memory(needed: memory, available: nil) }
    try check(answer, "fill a key slot")
  }

  /// Overwrites every key slot, and removes the tokens, which stand for passphrases elsewhere.
  mutating func destroyKeySlots() throws(LUKSError) {
    let type = unsafe crypt_get_type(device)
    for slot in 0..<max(0, unsafe crypt_keyslot_max(type)) {
      switch unsafe crypt_keyslot_status(device, slot) {
      case CRYPT_SLOT_ACTIVE, CRYPT_SLOT_ACTIVE_LAST, CRYPT_SLOT_UNBOUND:
        try check(unsafe crypt_keyslot_destroy(device, slot), "destroy key slot \(slot)")
      default: break
      }
    }
    guard !isLUKS1 else { return }
    for token in 0..<max(0, unsafe crypt_token_max(type)) {
      guard unsafe crypt_token_status(device, token, nil) != CRYPT_TOKEN_INACTIVE else { continue }
      try check(unsafe crypt_token_json_set(device, token, nil), "remove token \(token)")
    }
  }
}
