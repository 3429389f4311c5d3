import DiskImage
import StageKit
import VolumeStore

/// Runs `body`, and says of what the volume's or its image's layer threw what it means for a job.
func asStageError<Result>(_ body: () throws -> Result) throws -> Result {
  do {
    return try body()
  } catch let error as VolumeError {
    let retry: StageError.Retry =
      switch error.retry {
      case .never: .never
      case .transient: .transient
      case .afterFix: .afterFix
      }
    throw StageError(error.code.rawValue, error.message, hint: error.hint, retry: retry)
  } catch let error as Qcow2Error {
    throw StageError("bad-format", error.description, hint: error.hint)
  }
}
