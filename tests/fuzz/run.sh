#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Fuzzes each target for a while, beginning with its corpus; README.md says what to do with what is found.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  cat <<'USAGE'
usage: tests/fuzz/run.sh [--seconds N] [--fresh] [TARGET...]
  TARGET       as in tests/fuzz/corpus/; all of them without one
  --seconds N  for each target; 60 without it
  --fresh      forget the inputs that earlier runs kept in build/fuzz/corpus/
USAGE
}

seconds=60
fresh=
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) seconds="${2:?--seconds needs a number}"; shift ;;
    --fresh) fresh=1 ;;
    -h|--help) usage; exit 0 ;;
    -*) usage >&2; exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
if [ ${#targets[@]} -eq 0 ]; then
  for directory in tests/fuzz/corpus/*/; do targets+=("$(basename "$directory")"); done
fi

if command -v ccache >/dev/null; then
  export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
  export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1
fi
cmake --preset fuzz >/dev/null
ninja -C build/fuzz "${targets[@]/%/_fuzz}" >build/fuzz/run.log || { cat build/fuzz/run.log; exit 1; }

export ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}"
export UBSAN_OPTIONS="print_stacktrace=1${UBSAN_OPTIONS:+:$UBSAN_OPTIONS}"
findings=build/fuzz/findings
failed=()
for target in "${targets[@]}"; do
  kept="build/fuzz/corpus/$target"
  log="$findings/$target.log"
  if [ -n "$fresh" ]; then rm -rf "$kept"; fi
  mkdir -p "$kept" "$findings"
  options=(-max_total_time="$seconds" -timeout=300 -rss_limit_mb=2048 -max_len=8192 -use_value_profile=1
           -print_final_stats=1 -artifact_prefix="$findings/$target-")
  if [ -f "tests/fuzz/dictionaries/$target.dict" ]; then options+=(-dict="tests/fuzz/dictionaries/$target.dict"); fi
  if "build/fuzz/tests/fuzz/${target}_fuzz" "${options[@]}" "$kept" "tests/fuzz/corpus/$target" >"$log" 2>&1; then
    runs="$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
    speed="$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")"
    printf '%-16s %9s runs, %6s a second, %5s inputs kept\n' "$target" "$runs" "$speed" "$(find "$kept" -type f | wc -l)"
  else
    failed+=("$target")
    printf '%-16s FAILED, see %s\n' "$target" "$log"
    tail -n 40 "$log"
  fi
done
if [ ${#failed[@]} -gt 0 ]; then
  echo "findings of ${failed[*]} are in $findings" >&2
  exit 1
fi
