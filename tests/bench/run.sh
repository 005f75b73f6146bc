#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The benchmark: ratios, each measured side by side in one run. A table on stdout, JSON in a file.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=build/release-bench
build_it=1
arguments=()
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build="${2:?--build needs a folder}"; shift ;;
    --no-build) build_it= ;;
    --quick) arguments+=(--quick) ;;
    --out) arguments+=(--out "${2:?--out needs a file}"); shift ;;
    *) echo "usage: tests/bench/run.sh [--quick] [--out FILE] [--build FOLDER] [--no-build]" >&2; exit 2 ;;
  esac
  shift
done

skip() {
  echo "bench: skipped: $*" >&2
  exit 77
}
[ "$(id -u)" -eq 0 ] || skip "not root"
[ -c /dev/fuse ] || skip "there is no /dev/fuse"
command -v runc >/dev/null || skip "there is no runc"

if [ -n "$build_it" ]; then
  tests/lib/deps.sh build
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
  ninja -C "$build" actiondfs actiondfs-hook bench_compare bench_empty_hook | tail -n 1
fi
exec /usr/bin/python3 tests/bench/bench.py --build "$build" "${arguments[@]}"
