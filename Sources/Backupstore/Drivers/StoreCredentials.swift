import DroverModel

/// What a target's secret holds, by the names that Longhorn has for it. Source: longhorn-format, 9.1.
///
/// Values are copied in and overwritten when the last copy of this goes. None of them is ever part of an error, a log or a
/// description.
public struct StoreCredentials: Sendable {
  private var values: [String: SecretBytes] = [:]

  public static let none = StoreCredentials()

  public init() {}

  /// For values that are texts anyway.
  public init(_ values: [String: String]) {
    for (name, value) in values {
      var value = value
      value.withUTF8 { set(name, UnsafeRawBufferPointer($0)) }
    }
  }

  /// Copies the bytes. Names that no driver knows are kept and never looked at.
  public mutating func set(_ name: String, _ bytes: UnsafeRawBufferPointer) {
    values[name] = SecretBytes(copying: bytes)
  }

  /// Nil for one that is not there or empty. Longhorn's manager refuses values with blanks around them, and so does
  /// this: they come from a file's last line end.
  func value(_ name: String) throws(StoreError) -> SecretBytes? {
    guard let value = values[name], value.count > 0 else { return nil }
    guard !value.hasBlankAround else {
      throw StoreError(
        .invalid, "the value of \(name) in the target's credentials begins or ends with a blank or a line end",
        hint: "make the secret again without it, as with printf instead of echo", retry: .afterFix)
    }
    return value
  }

  func text(_ name: String) throws(StoreError) -> String? {
    guard let value = try value(name) else { return nil }
    guard let text = value.text, !text.utf8.contains(where: { $0 < 32 || $0 == 127 }) else {
      throw StoreError(
        .invalid, "the value of \(name) in the target's credentials is no line of text", retry: .afterFix)
    }
    return text
  }
}

extension SecretBytes {
  /// Nil for what is no UTF-8.
  var text: String? { withBytes { String(validating: $0, as: UTF8.self) } }

  fileprivate var hasBlankAround: Bool {
    withBytes { bytes in
      let isBlank: (UInt8) -> Bool = { $0 == 32 || (9...13).contains($0) }
      // A PEM file ends with a line end as it should.
      let isPEM = bytes.starts(with: "-----BEGIN".utf8)
      return !isPEM && (bytes.first.map(isBlank) == true || bytes.last.map(isBlank) == true)
    }
  }
}
