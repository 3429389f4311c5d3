/// The version of this build, the same in all programs of one installation.
public enum DroverVersion {
  public static let current = "0.1.0"
}
