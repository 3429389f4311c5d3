# Sourced by ./dev: seconds of Drover and of its peers on the same image in the same run, and their ratios.
# SIZE=MiB (default 1024) sets the image's size, ROUNDS (default 3) how often; the median counts.

now() { date +%s.%N; }

# seconds of a command; its output goes to the log
timed() {
  begin=$(now)
  "$@" >>"$scratch/log" 2>&1 || { tail -n 20 "$scratch/log" >&2; fail "failed: $*"; }
  end=$(now)
  echo "$begin $end" | awk '{printf "%.2f", $2 - $1}'
}

median() { tr ' ' '\n' | grep . | sort -n | awk '{a[NR] = $1} END {print a[int((NR + 1) / 2)]}'; }

# Half noise, a quarter text that compresses, a quarter holes.
make_bench_image() {
  truncate -s "${2}M" "$1"
  at=0
  while [ "$at" -lt "$2" ]; do
    dd if=/dev/urandom of="$1" bs=1M count=32 seek="$at" conv=notrunc status=none
    yes "all work and no play $at" | head -c 16M | dd of="$1" bs=1M seek=$((at + 32)) conv=notrunc iflag=fullblock status=none
    at=$((at + 64))
  done
}

bench() {
  # shellcheck disable=SC2086
  need_packages $build_packages restic
  build -c release
  PATH=$(swift build -c release --show-bin-path):$PATH
  size=${SIZE:-1024}
  rounds=${ROUNDS:-3}
  scratch=$(mktemp -d "${TMPDIR:-/tmp}/drover-bench.XXXXXX")
  stop_bench() {
    trap - EXIT INT TERM
    [ -z "${daemon:-}" ] || { kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null; } || true
    rm -rf "$scratch"
  }
  trap stop_bench EXIT
  trap 'exit 130' INT TERM
  say "making an image of $size MiB"
  make_bench_image "$scratch/image" "$size"
  cat "$scratch/image" >/dev/null

  DROVER_SOCKET=$scratch/drover.sock
  export DROVER_SOCKET RESTIC_PASSWORD=bench
  droverd serve --state "$scratch/state" --socket "$DROVER_SOCKET" 2>"$scratch/droverd.log" &
  daemon=$!
  until drover version >/dev/null 2>&1; do kill -0 "$daemon" || fail "the daemon did not start"; sleep 0.1; done
  upload=$(timed drover image create image --from-file "$scratch/image" --wait)
  url="file://$scratch/state/store?backingImage=image"

  clones= copies= backups= restores= restic_backups= restic_restores=
  for round in $(seq "$rounds"); do
    clones="$clones $(timed drover image create "clone-$round" --from-image image --wait)"
    copies="$copies $(timed sh -c "cp --sparse=always '$scratch/image' '$scratch/copy' && sync '$scratch/copy'")"
    rm -f "$scratch/copy"
    backups="$backups $(timed drover backup create image image --wait)"
    restores="$restores $(timed drover image create "restored-$round" --from-backup "$url" --wait)"
    restic -q -r "$scratch/restic" init >>"$scratch/log" 2>&1
    restic_backups="$restic_backups $(timed restic -q -r "$scratch/restic" backup --no-cache "$scratch/image")"
    restic_restores="$restic_restores $(timed restic -q -r "$scratch/restic" restore latest --no-cache --target "$scratch/out")"
    rm -rf "$scratch/restic" "$scratch/out"
    drover delete backingimage "restored-$round" --wait >>"$scratch/log" 2>&1
    drover delete backingimage "clone-$round" --wait >>"$scratch/log" 2>&1
    [ "$round" = "$rounds" ] || for name in $(drover get backupbackingimage -o name); do
      drover delete backupbackingimage "${name#*/}" --wait >>"$scratch/log" 2>&1
    done
  done

  say "median of $rounds, image of $size MiB, $(nproc) cores; a backup waits 2 s for the store's lock, as the format demands"
  row() { # what, seconds, peer, seconds of the peer
    echo "$2 $4" | awk -v what="$1" -v peer="$3" '{printf "%-10s %6.2f s   %-20s %6.2f s   ratio %.2f\n", what, $1, peer, $2, $2 / $1}'
  }
  row clone "$(echo "$clones" | median)" "cp --sparse=always" "$(echo "$copies" | median)"
  row backup "$(echo "$backups" | median)" "restic backup" "$(echo "$restic_backups" | median)"
  row restore "$(echo "$restores" | median)" "restic restore" "$(echo "$restic_restores" | median)"
  printf '%-10s %6.2f s\n' upload "$upload"
}
