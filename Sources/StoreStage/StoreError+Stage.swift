public import Backupstore
public import StageKit

extension StoreError: StageErrorConvertible {
  public var stageError: StageError {
    let retry: StageError.Retry =
      switch self.retry {
      case .never: .never
      case .transient: .transient
      case .afterFix: .afterFix
      }
    return StageError(code.rawValue, message, hint: hint, retry: retry, systemError: systemError)
  }
}
