#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The benchmark: ratios, each measured side by side in one run. A table on stdout, JSON in a file.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'USAGE'
usage: tests/bench/run.sh [--vm VEHICLE] [--icount] [--threads] [--quick] [--out FILE] [--build FOLDER] [--no-build]
  --vm VEHICLE    backend kernel, in a virtual machine (uml or qemu: tests/kernel/README.md); without it,
                  backend fuse on this host
  --icount        for qemu: one CPU, whose clock counts instructions, and everything in memory. The ratios are those of
                  instructions, the same on a busy host as on an idle one; files only
  --threads       only what two threads do at once, for two idle processors
  --quick         tiny trees, one round: only that everything works
  --out FILE      where the JSON goes (default, in the build folder: bench.json, bench-VEHICLE.json; with -icount, -threads if only that)
  --build FOLDER  of the programs (default build/release-bench); --no-build: they are there
USAGE
}

build=build/release-bench
build_it=1
vehicle=
icount=
threads=
out=
arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build="${2:?--build needs a folder}"; shift ;;
    --no-build) build_it= ;;
    --quick) arguments+=(--quick) ;;
    --threads) threads=-threads arguments+=(--threads) ;;
    --icount) icount=--icount ;;
    --vm) vehicle="${2:?--vm needs a vehicle}"; shift ;;
    --out) out="${2:?--out needs a file}"; shift ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

skip() {
  echo "bench: skipped: $*" >&2
  exit 77
}
[ "$(id -u)" -eq 0 ] || skip "not root"
command -v runc >/dev/null || skip "there is no runc"
if [ -z "$vehicle" ] && [ ! -c /dev/fuse ]; then skip "there is no /dev/fuse"; fi

if [ -n "$build_it" ]; then
  tests/lib/deps.sh build
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
  ninja -C "$build" actiondfs actiondfs-hook bench_compare bench_empty_hook | tail -n 1
fi
build="$(realpath "$build")"
if [ -n "$icount" ]; then
  [ "$vehicle" = qemu ] || { echo "bench: --icount is for --vm qemu" >&2; exit 2; }
  arguments+=(--instructions)
elif [ "$vehicle" = qemu ]; then
  arguments+=(--emulated)
fi
if [ -z "$vehicle" ]; then
  exec /usr/bin/python3 tests/bench/bench.py --build "$build" ${out:+--out "$out"} "${arguments[@]}"
fi

# The same module, but for its statistics: what they cost is the difference.
without="$(KCFLAGS=-DACTIONDFS_NO_STATISTICS ACTIONDFS_MODULE_BUILD="$build/kernel-without-statistics" \
  tests/kernel/build_module.sh "$vehicle")"
report="$(mktemp -d)"
trap 'rm -rf "$report"' EXIT
# shellcheck disable=SC2016  # For the guest's shell.
in_guest='exec /usr/bin/python3 tests/bench/bench.py --backend kernel --out "$ACTIONDFS_OUT/bench.json" "$@"'
if [ -n "$icount" ]; then
  # A disk that has to be waited for would let the clock run.
  in_guest='modprobe brd rd_nr=1 rd_size=2000000 && mke2fs -q -t ext4 -m 0 /dev/ram0 &&
    mount -t ext4 /dev/ram0 /mnt/ext4 && '"$in_guest"
fi
# What starts with ACTIONDFS is known to the guest, and what is named so stays visible in there.
ACTIONDFS="$build/bin/actiondfs" ACTIONDFS_KO_WITHOUT_STATISTICS="$without" tests/kernel/vm.sh "--$vehicle" $icount \
  --timeout 7200 --disk 8G --memory 4G --output "$report" --env TMPDIR=/mnt/ext4 -- \
  bash -c "$in_guest" bench --build "$build" "${arguments[@]}"
cp "$report/bench.json" "${out:-$build/bench-$vehicle${icount:+-icount}$threads.json}"
