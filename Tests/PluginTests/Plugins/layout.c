/* Prints where each field of version 1.0 lies, and the values of its constants. Compiled against the header of that
 * release and against today's; both must print the same. */
#include <drover_plugin.h>

#include <stdio.h>

#define FIELD(type, field) \
  printf(#type "." #field " %zu %zu\n", offsetof(type, field), sizeof(((type *)0)->field))
#define CONSTANT(name) printf(#name " %llu\n", (unsigned long long)(name))

int main(void) {
  FIELD(drover_error, struct_size);
  FIELD(drover_error, retry);
  FIELD(drover_error, system_error);
  FIELD(drover_error, domain);
  FIELD(drover_error, code);
  FIELD(drover_error, message);
  FIELD(drover_error, hint);
  FIELD(drover_host, struct_size);
  FIELD(drover_host, abi_major);
  FIELD(drover_host, abi_minor);
  FIELD(drover_host, context);
  FIELD(drover_host, log);
  FIELD(drover_host, cancelled);
  FIELD(drover_host, emit);
  FIELD(drover_host, phase);
  FIELD(drover_host, progress);
  FIELD(drover_device_info, struct_size);
  FIELD(drover_device_info, size);
  FIELD(drover_device_info, data_size);
  FIELD(drover_device_info, block_min);
  FIELD(drover_device_info, block_preferred);
  FIELD(drover_device_info, block_max);
  FIELD(drover_device_info, flags);
  FIELD(drover_device_info, identity);
  FIELD(drover_device_info, sha512);
  FIELD(drover_device_info, block_hashes);
  FIELD(drover_device_info, block_hash_count);
  FIELD(drover_extent, offset);
  FIELD(drover_extent, length);
  FIELD(drover_extent, type);
  FIELD(drover_extent, reserved);
  FIELD(drover_commit, struct_size);
  FIELD(drover_commit, size);
  FIELD(drover_commit, sha512);
  FIELD(drover_commit, block_hashes);
  FIELD(drover_commit, block_hash_count);
  FIELD(drover_device_ops, struct_size);
  FIELD(drover_device_ops, info);
  FIELD(drover_device_ops, extents);
  FIELD(drover_device_ops, pread);
  FIELD(drover_device_ops, pwrite);
  FIELD(drover_device_ops, zero);
  FIELD(drover_device_ops, flush);
  FIELD(drover_device_ops, file_range);
  FIELD(drover_device_ops, checkpoint);
  FIELD(drover_device_ops, commit);
  FIELD(drover_device_ops, control);
  FIELD(drover_device_ops, close);
  FIELD(drover_device, struct_size);
  FIELD(drover_device, handle);
  FIELD(drover_device, ops);
  FIELD(drover_secret, name);
  FIELD(drover_secret, bytes);
  FIELD(drover_secret, length);
  FIELD(drover_open, struct_size);
  FIELD(drover_open, role);
  FIELD(drover_open, writable);
  FIELD(drover_open, params);
  FIELD(drover_open, secrets);
  FIELD(drover_open, secret_count);
  FIELD(drover_open, job);
  FIELD(drover_open, job_folder);
  FIELD(drover_open, attempt);
  FIELD(drover_open, concurrency);
  FIELD(drover_open, stall_seconds);
  FIELD(drover_open, reserved);
  FIELD(drover_open, checkpoint);
  FIELD(drover_open, checkpoint_length);
  FIELD(drover_open, lower);
  FIELD(drover_open, source);
  FIELD(drover_plan, struct_size);
  FIELD(drover_plan, size);
  FIELD(drover_plan, data_size);
  FIELD(drover_plan, space);
  FIELD(drover_plan, space_path);
  FIELD(drover_plan, lock);
  FIELD(drover_plan, file_path);
  FIELD(drover_stage, struct_size);
  FIELD(drover_stage, name);
  FIELD(drover_stage, summary);
  FIELD(drover_stage, roles);
  FIELD(drover_stage, threads);
  FIELD(drover_stage, flags);
  FIELD(drover_stage, reserved);
  FIELD(drover_stage, params);
  FIELD(drover_stage, plan);
  FIELD(drover_stage, open);
  FIELD(drover_stage, device);
  FIELD(drover_stage, run);
  FIELD(drover_stage, discard);
  FIELD(drover_stage, context);
  FIELD(drover_plugin, struct_size);
  FIELD(drover_plugin, abi_major);
  FIELD(drover_plugin, abi_minor);
  FIELD(drover_plugin, required_minor);
  FIELD(drover_plugin, stage_count);
  FIELD(drover_plugin, name);
  FIELD(drover_plugin, version);
  FIELD(drover_plugin, stages);
  printf("drover_secret %zu\n", sizeof(drover_secret)); /* never grows */
  printf("drover_extent %zu\n", sizeof(drover_extent)); /* never grows */
  CONSTANT(DROVER_PLUGIN_ABI_MAJOR);
  CONSTANT(DROVER_RETRY_NEVER);
  CONSTANT(DROVER_RETRY_TRANSIENT);
  CONSTANT(DROVER_RETRY_AFTER_FIX);
  CONSTANT(DROVER_LOG_DEBUG);
  CONSTANT(DROVER_LOG_INFO);
  CONSTANT(DROVER_LOG_WARNING);
  CONSTANT(DROVER_LOG_ERROR);
  CONSTANT(DROVER_HASH_BLOCK);
  CONSTANT(DROVER_HASH_LENGTH);
  CONSTANT(DROVER_DEVICE_WRITABLE);
  CONSTANT(DROVER_DEVICE_SEQUENTIAL);
  CONSTANT(DROVER_DEVICE_TAKES_ABSENT);
  CONSTANT(DROVER_DEVICE_IMAGE_FILE);
  CONSTANT(DROVER_DEVICE_NO_EXTENTS);
  CONSTANT(DROVER_DEVICE_STARTS_ZERO);
  CONSTANT(DROVER_EXTENT_DATA);
  CONSTANT(DROVER_EXTENT_ZERO);
  CONSTANT(DROVER_EXTENT_ABSENT);
  CONSTANT(DROVER_ROLE_SOURCE);
  CONSTANT(DROVER_ROLE_FILTER);
  CONSTANT(DROVER_ROLE_SINK);
  CONSTANT(DROVER_ROLE_TASK);
  CONSTANT(DROVER_THREADS_SERIAL);
  CONSTANT(DROVER_THREADS_PARALLEL);
  CONSTANT(DROVER_STAGE_NETWORK);
  puts(DROVER_PLUGIN_ENTRY_NAME);
  return 0;
}
