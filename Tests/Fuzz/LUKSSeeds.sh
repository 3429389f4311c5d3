# Puts headers of both versions into the folder $1, for the fuzzer to begin with.
set -eu
cryptsetup=$(command -v cryptsetup || echo /usr/sbin/cryptsetup)
image=$(mktemp)
trap 'rm -f "$image"' EXIT
make() { # FOLDER NAME BYTES OPTIONS: of the header so many bytes, and one that tells to make its checksums true
  seed=$1/$2
  length=$3
  shift 3
  truncate -s 0 "$image"
  truncate -s 20M "$image"
  printf secret | "$cryptsetup" -q luksFormat "$@" "$image" -d -
  head -c "$length" "$image" > "$seed"
  printf '\001' >> "$seed"
}
make "$1" argon2 32768 --type luks2 --pbkdf argon2id --pbkdf-force-iterations 4 --pbkdf-memory 32
make "$1" pbkdf2 32768 --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 --sector-size 4096
make "$1" luks1 4096 --type luks1 --pbkdf-force-iterations 1000
