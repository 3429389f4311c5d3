# Sourced by ./dev: Drover and its peers on the same image in the same run, as ratios with CPU seconds and memory.
# SIZE=MiB (default 2048) sets the image's size, ROUNDS (default 3) how often; the median counts.

bench() {
  # shellcheck disable=SC2086
  need_packages $build_packages openssl python3-minimal restic borgbackup qemu-utils lz4
  need_test_tools
  build -c release
  PATH=$(swift build -c release --show-bin-path):$PATH:$DROVER_TEST_TOOLS/bin
  export PATH
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/drover-bench.XXXXXX")
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 130' INT TERM
  # By the compiler that builds Drover.
  clang -O2 -ISources/COpenSSL/include .dev/sectors.c Sources/COpenSSL/XTS.c -lcrypto -o "$scratch/sectors"
  python3 -B .dev/bench.py "${SIZE:-2048}" "${ROUNDS:-3}" "$scratch"
  echo
  python3 -B .dev/bench_store.py "$scratch" "$scratch/image"
  echo
  python3 -B .dev/bench_s3.py "$scratch" "$scratch/image" "${ROUNDS:-3}"
}
