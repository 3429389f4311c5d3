import CDroverPlugin

/// A call that a device does not offer for this range or at all, which is no failure.
let notOffered = "not-offered"

/// The longest token of a checkpoint, in bytes.
let checkpointLimit = 65536

/// The C calls on a Swift device; `handle` is a retained `DeviceBox`.
enum DeviceTable {
  static func make() -> drover_device_ops {
    drover_device_ops(
      struct_size: MemoryLayout<drover_device_ops>.size,
      info: { handle, info, error in
        DeviceBox.of(handle).answer(error) { box in
          guard let info else { return }
          store(box.retain(try box.device.info()), to: info)
        }
      },
      extents: { handle, offset, length, extents, capacity, error in
        let box = DeviceBox.of(handle)
        var count = 0
        let answer = box.answer(error) { box in
          let found = try box.device.extents(offset: offset, length: length)
          count = try DeviceBox.copy(
            found, offset: offset, length: length, to: UnsafeMutableBufferPointer(start: extents, count: Int(capacity)))
        }
        return answer == 0 ? Int64(count) : -1
      },
      pread: { handle, buffer, length, offset, error in
        var count = 0
        let answer = DeviceBox.of(handle).answer(error) { box in
          count = try box.device.read(
            into: UnsafeMutableRawBufferPointer(start: buffer, count: Int(length)), at: offset)
        }
        return answer == 0 ? Int64(count) : -1
      },
      pwrite: { handle, buffer, length, offset, error in
        DeviceBox.of(handle).answer(error) { box in
          try box.device.write(UnsafeRawBufferPointer(start: buffer, count: Int(length)), at: offset)
        }
      },
      zero: { handle, offset, length, error in
        DeviceBox.of(handle).answer(error) { box in try box.device.zero(offset: offset, length: length) }
      },
      flush: { handle, error in
        DeviceBox.of(handle).answer(error) { box in try box.device.flush() }
      },
      file_range: { handle, offset, length, descriptor, fileOffset, error in
        DeviceBox.of(handle).answer(error) { box in
          guard let range = try box.device.fileRange(offset: offset, length: length) else {
            throw StageError(notOffered, "the bytes do not lie in a file as they are")
          }
          descriptor?.pointee = range.descriptor
          fileOffset?.pointee = range.offset
        }
      },
      checkpoint: { handle, offset, token, capacity, error in
        var count = 0
        let answer = DeviceBox.of(handle).answer(error) { box in
          guard let bytes = try box.device.checkpoint(offset: offset) else {
            throw StageError(notOffered, "the copy can't be continued")
          }
          guard let token, bytes.count <= min(capacity, checkpointLimit) else {
            throw StageError("internal", "a checkpoint of \(bytes.count) bytes is too long")
          }
          token.copyMemory(from: bytes, byteCount: bytes.count)
          count = bytes.count
        }
        return answer == 0 ? Int64(count) : -1
      },
      commit: { handle, commit, error in
        DeviceBox.of(handle).answer(error) { box in
          guard let commit else { throw StageError("internal", "the host committed without saying what") }
          try box.device.commit(Commit(load(commit)))
        }
      },
      control: { handle, verb, json, reply, context, error in
        DeviceBox.of(handle).answer(error) { box in
          let answer = try box.device.control(
            verb: verb.map { String(cString: $0) } ?? "", json: json.map { String(cString: $0) } ?? "{}")
          reply?(context, answer)
        }
      },
      close: { handle in
        guard let handle else { return }
        Unmanaged<DeviceBox>.fromOpaque(handle).takeRetainedValue().device.close()
      },
      trim: { handle, offset, length, error in
        DeviceBox.of(handle).answer(error) { box in try box.device.trim(offset: offset, length: length) }
      })
  }
}
