public import DiskImage
public import StageKit

extension Qcow2Error: StageErrorConvertible {
  public var stageError: StageError { StageError("bad-format", description, hint: hint) }
}
