import DroverModel
import LinuxSystem

extension TrustedPath {
  /// The file of a plugin; the Fault names it.
  static func resolve(plugin: String) throws(Fault) -> String {
    do throws(Refusal) { return try resolve(plugin) } catch {
      let what = error.path == plugin ? "" : "\(error.path) "
      throw Fault(
        error.isAbsent ? .notFound : .pluginRefused, "plugin \(plugin): \(what)\(error.reason)", hint: error.hint)
    }
  }
}
