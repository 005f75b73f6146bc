#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The test command: everything, from a clean clone on Debian 12, as root. Ends at the first stage that fails; the
# last stage is ctest of the normal build, so that its count is the last thing printed. What a stage builds stays in
# build/, and a second run does only what changed.
set -euo pipefail
cd "$(dirname "$0")/.."

usage() {
  cat <<'USAGE'
usage: tests/run.sh [--quick | --long] [-L LABEL]
  --quick    only the normal build and its tests
  --long     all of the conformance suite on the kernel backend, too, and the module at full size; each fuzz target
             for ten minutes
  -L LABEL   only tests with this label (unit, layering, fuzz, cli, conformance, fuse, kernel,
             runtime, checklist, crash, bench); implies --quick
USAGE
}

quick=
long=
label=
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) quick=1 ;;
    --long) long=1 ;;
    -L) label="${2:?-L needs a label}"; quick=1; shift ;;
    -h|--help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
heading() { printf '%s== [%4d s] %s%s\n' "$bold" "$SECONDS" "$*" "$plain"; }

stage=start
finish() {
  local code=$?
  trap - EXIT
  if [ $code -ne 0 ]; then heading "FAILED: $stage" >&2; fi
  exit $code
}
trap finish EXIT

begin() {
  stage="$*"
  heading "$stage"
}

# quietly LOG COMMAND...: the command's output goes to the terminal only if it fails.
quietly() {
  local log="build/logs/$1"
  shift
  mkdir -p build/logs
  if ! "$@" >"$log" 2>&1; then
    tail -n 200 "$log"
    return 1
  fi
}

jobs="$(nproc)"
python=/usr/bin/python3

# What was compiled before, in whichever checkout, is not compiled again. ccache does not know precompiled headers.
export CMAKE_C_COMPILER_LAUNCHER=ccache CMAKE_CXX_COMPILER_LAUNCHER=ccache
export CCACHE_BASEDIR="$PWD" CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=5G

# build PRESET [TARGET...]
build() {
  local preset="$1"
  shift
  quietly "configure-$preset.log" cmake --preset "$preset" "-DACTIONDFS_LONG_TESTS=${long:-0}" \
    -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON
  quietly "build-$preset.log" ninja -C "build/$preset" -j "$jobs" "$@"
}

# sanitized PRESET EXCEPT LABEL...: what needs no container runtime, in a build with sanitizers; without the tests whose
# names match EXCEPT.
sanitized() {
  begin "$1: tests labelled ${*:3}"
  quietly "ctest-$1.log" ctest --test-dir "build/$1" -j "$jobs" --output-on-failure --no-tests=error \
    -E "$2" -L "^($(IFS='|'; echo "${*:3}"))\$"
  tail -n 40 "build/logs/ctest-$1.log" | grep -E 'tests passed|tests failed'
}

begin "packages"
tests/lib/deps.sh test
# Without these the tests that boot a kernel are skipped, and say so.
tests/lib/deps.sh kernel || heading "no packages for a virtual machine"

begin "dev: build (GCC)"
build dev

if [ -z "$quick" ]; then
  begin "clang-format"
  $python tests/lib/format.py
  export ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1
  export UBSAN_OPTIONS=print_stacktrace=1
  export TSAN_OPTIONS=halt_on_error=1:second_deadlock_stack=1
  # This is the build with clang, too: its warnings are errors, and clang-tidy reads its flags.
  begin "asan-ubsan: build (clang)"
  build asan-ubsan
  begin "clang-tidy"
  $python tests/lib/tidy.py build/asan-ubsan
  # Plain directories are the reference: nothing of ours runs there.
  sanitized asan-ubsan '^conformance\.plain\.' unit fuzz cli conformance fuse
  # What has threads.
  begin "tsan: build (clang)"
  build tsan actiondfs actiondfs-hook base_test cas_test tree_test fuse_test mount_test tests/fuse/all
  # Without passthrough the server does it all.
  sanitized tsan '^conformance\.(plain|fuse)\.' unit cli conformance fuse
fi

if [ -z "$quick" ]; then
  fuzzing=$([ -n "$long" ] && echo 600 || echo 8)
  begin "fuzz: $fuzzing s each target"
  quietly fuzz.log tests/fuzz/run.sh --fresh --seconds "$fuzzing"
  grep ' runs, ' build/logs/fuzz.log
fi

begin "dev: tests${label:+ labelled $label}"
ctest --test-dir build/dev -j "$jobs" --output-on-failure --no-tests=error ${label:+-L "^$label\$"}
