#!/bin/sh
# Small good images to begin with, into the folder $1.
set -eu
cd "$1"
head -c 40000 /dev/urandom >raw
yes parrot | head -c 60000 >>raw
truncate -s 200000 raw
number=0
image() { # arguments of qemu-img convert
  number=$((number + 1))
  qemu-img convert -q -f raw -O qcow2 "$@" raw "seed-$number"
}
for options in compat=0.10,cluster_size=512 cluster_size=512 cluster_size=4k preallocation=metadata,cluster_size=1k \
  lazy_refcounts=on,cluster_size=2k extended_l2=on,cluster_size=16k; do
  image -o "$options"
done
for options in cluster_size=512 cluster_size=4k compression_type=zstd,cluster_size=4k \
  compression_type=zstd,cluster_size=64k extended_l2=on,cluster_size=16k; do
  image -c -o "$options"
done
qemu-img snapshot -c one seed-2
qemu-io -f qcow2 -c 'write -P 3 5k 9k' -c 'write -z 40k 8k' -c 'discard 100k 4k' seed-2 >/dev/null
qemu-io -f qcow2 -c 'write -P 3 5k 1k' -c 'write -z 40k 8k' -c 'discard 100k 4k' seed-6 >/dev/null
rm raw
