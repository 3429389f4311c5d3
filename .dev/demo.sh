# Sourced by ./dev: the main job, end to end, on a disk image, in a scratch folder of its own.

# A real disk image without root: an ext4 file system filled from a folder of this machine.
make_image() {
  say "making a disk image of 512 MiB: an ext4 file system with this machine's /usr/share in it"
  rm -rf "$1.tmp" "$1.files"
  mkdir -p "$1.files"
  # As much as surely fits; what can't be read is left out.
  (cd /usr/share && find . -type f -size -2000k 2>/dev/null | sort | head -n 12000 |
    tar -cf - -T - 2>/dev/null || true) | (cd "$1.files" && tar -xf - 2>/dev/null || true)
  used=$(du -sk "$1.files" | cut -f1)
  while [ "$used" -gt 380000 ]; do
    find "$1.files" -type f | sort | awk 'NR % 4 == 0' | tr '\n' '\0' | xargs -0 rm -f
    used=$(du -sk "$1.files" | cut -f1)
  done
  PATH=$PATH:/usr/sbin:/sbin mke2fs -q -t ext4 -d "$1.files" -L parrot "$1.tmp" 512M
  rm -rf "$1.files"
  mv "$1.tmp" "$1"
}

sha512() { sha512sum "$1" | cut -d' ' -f1; }

demo() {
  # shellcheck disable=SC2086
  need_packages $build_packages $demo_packages
  # shellcheck disable=SC2086
  build || fail "the build failed"
  bin=$(swift build --show-bin-path)
  PATH=$bin:$PATH

  cache=${XDG_CACHE_HOME:-$HOME/.cache}/drover-demo
  scratch=${DEMO:-$(mktemp -d "${TMPDIR:-/tmp}/drover-demo.XXXXXX")}
  mkdir -p "$cache" "$scratch/web"
  [ -z "${DEMO:-}" ] || rm -rf "$scratch/state" "$scratch/drover.sock"
  if [ -n "${IMAGE:-}" ]; then
    image=$IMAGE
  else
    image=$cache/parrot.img
    [ -f "$image" ] || make_image "$image"
  fi
  [ -r "$image" ] || fail "can't read $image"
  ln -sf "$(readlink -f "$image")" "$scratch/web/parrot.img"
  sum=$(sha512 "$image")

  # shellcheck disable=SC2154
  stop_demo() {
    trap - EXIT INT TERM
    [ -z "${daemon:-}" ] || { kill "$daemon" 2>/dev/null && wait "$daemon" 2>/dev/null; } || true
    [ -z "${web:-}" ] || kill "$web" 2>/dev/null || true
    [ -n "${DEMO:-}" ] || rm -rf "$scratch"
  }
  trap stop_demo EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM

  port=
  for try in $(seq 20000 977 40000); do
    busybox httpd -f -p "127.0.0.1:$try" -h "$scratch/web" 2>/dev/null &
    web=$!
    sleep 0.2
    if kill -0 "$web" 2>/dev/null; then port=$try; break; fi
  done
  [ -n "$port" ] || fail "found no free port for the web server"

  droverd serve --state "$scratch/state" --socket "$scratch/drover.sock" 2>"$scratch/droverd.log" &
  daemon=$!
  DROVER_SOCKET=$scratch/drover.sock
  export DROVER_SOCKET
  tries=0
  until drover version >/dev/null 2>&1; do
    kill -0 "$daemon" 2>/dev/null || { cat "$scratch/droverd.log" >&2; fail "the daemon did not start"; }
    tries=$((tries + 1))
    [ $tries -lt 300 ] || { cat "$scratch/droverd.log" >&2; fail "the daemon does not answer"; }
    sleep 0.1
  done

  say "" "1. download the image over HTTP and check it"
  cat >"$scratch/1.yaml" <<END
apiVersion: longhorn.io/v1beta2
kind: BackingImage
metadata:
  name: parrot
  namespace: longhorn-system
spec:
  sourceType: download
  sourceParameters:
    url: http://127.0.0.1:$port/parrot.img
  checksum: "$sum"
END
  drover apply -f "$scratch/1.yaml" --wait --timeout 30m

  say "" "2. clone it"
  cat >"$scratch/2.yaml" <<END
apiVersion: longhorn.io/v1beta2
kind: BackingImage
metadata:
  name: parrot-cloned
  namespace: longhorn-system
spec:
  sourceType: clone
  sourceParameters:
    backing-image: parrot
    encryption: ignore
END
  drover apply -f "$scratch/2.yaml" --wait --timeout 30m

  say "" "3. back it up, with labels, to the store in Longhorn's format"
  cat >"$scratch/3.yaml" <<END
apiVersion: longhorn.io/v1beta2
kind: BackupBackingImage
metadata:
  name: parrot
  namespace: longhorn-system
spec:
  userCreated: true
  labels:
    usecase: test
    type: raw
END
  drover apply -f "$scratch/3.yaml" --wait --timeout 30m
  url=$(drover get backupbackingimage parrot -o json | sed -n 's/.*"url" *: *"\([^"]*\)".*/\1/p' | sed 's|\\/|/|g' | head -n 1)

  say "" "4. restore it elsewhere"
  cat >"$scratch/4.yaml" <<END
apiVersion: longhorn.io/v1beta2
kind: BackingImage
metadata:
  name: parrot-restore
  namespace: longhorn-system
spec:
  sourceType: restore
  sourceParameters:
    backup-url: "$url"
    concurrent-limit: "2"
  checksum: "$sum"
END
  drover apply -f "$scratch/4.yaml" --wait --timeout 30m

  say "" "what there is now"
  drover get backingimage
  drover get backupbackingimage

  say "" "checksums (SHA-512) of the files, computed by sha512sum"
  result=0
  for name in parrot parrot-cloned parrot-restore; do
    file=$(drover get backingimage "$name" -o json | sed -n 's/.*"path" *: *"\([^"]*\)".*/\1/p' | sed 's|\\/|/|g' | head -n 1)
    found=$(sha512 "$file")
    if [ "$found" = "$sum" ]; then same="equal"; else same="DIFFERENT"; result=1; fi
    printf '%-16s %.16s… %s\n' "$name" "$found" "$same"
  done
  printf '%-16s %.16s…\n' "(source)" "$sum"
  printf 'image %s, in the store %s\n' "$(du -h --apparent-size -L "$image" | cut -f1)" "$(du -sh "$scratch/state/store" | cut -f1)"
  return $result
}
