import CDroverPlugin

extension OpenRequest {
  init(_ open: drover_open) throws {
    guard let role = Role(rawValue: open.role) else {
      throw StageError("internal", "the host asked for role \(open.role), which this plugin does not know")
    }
    self.init(
      role: role, writable: open.writable != 0, params: open.params.map { String(cString: $0) } ?? "{}",
      secrets: UnsafeBufferPointer(start: open.secrets, count: open.secrets == nil ? 0 : open.secret_count).map {
        Secret(
          name: $0.name.map { String(cString: $0) } ?? "",
          bytes: UnsafeRawBufferPointer(start: $0.bytes, count: $0.bytes == nil ? 0 : $0.length))
      },
      job: open.job.map { String(cString: $0) } ?? "", jobFolder: open.job_folder.map { String(cString: $0) } ?? "",
      attempt: max(1, Int(open.attempt)), concurrency: max(1, Int(open.concurrency)),
      stallSeconds: open.stall_seconds == 0 ? 30 : Int(open.stall_seconds),
      checkpoint: open.checkpoint.map { Array(UnsafeRawBufferPointer(start: $0, count: open.checkpoint_length)) },
      lower: open.lower.map { ForeignDevice(load($0)) }, source: open.source.map { ForeignDevice(load($0)) })
  }
}
