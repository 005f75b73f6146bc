#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The debug job: style and static checks, then the module's suite, the conformance suite and an endurance run on kernels
# with every checker (KASAN, lockdep, kmemleak, UBSAN, sleeping in atomic context, fault injection). User-mode Linux does
# the bulk, QEMU with two CPUs what needs more than one. Any report of the kernel fails it. Hours; before a release.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'USAGE'
usage: tests/kernel/debug.sh [--minutes N] [--programs DIR] [VEHICLE...]
  --minutes N     of endurance on each vehicle (default 60)
  --programs DIR  where actiondfs and actiondfs-hook are (default build/dev/bin)
  VEHICLE         uml-debug or qemu-debug (default both)
USAGE
}

minutes=60
programs="$repository/build/dev/bin"
vehicles=()
while [ $# -gt 0 ]; do
  case "$1" in
    --minutes) minutes="${2:?--minutes needs a number}"; shift ;;
    --programs) programs="$(realpath "${2:?--programs needs a directory}")"; shift ;;
    uml-debug | qemu-debug) vehicles+=("$1") ;;
    -h | --help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done
if [ ${#vehicles[@]} -eq 0 ]; then vehicles=(uml-debug qemu-debug); fi
if [ -x "$programs/actiondfs" ]; then
  export ACTIONDFS="$programs/actiondfs" ACTIONDFS_HOOK="$programs/actiondfs-hook"
fi
export PYTHONDONTWRITEBYTECODE=1

heading() { printf '== [%5d s] %s\n' "$SECONDS" "$*"; }

heading "checkpatch"
"$here/checkpatch.sh"
heading "W=1 and sparse"
"$here/build_module.sh" qemu --strict >/dev/null
mapfile -t suite < <(find "$here/suite" -name '*_test.py' ! -name load_test.py | sort)
for vehicle in "${vehicles[@]}"; do
  heading "$vehicle: the suite"
  "$here/vm.sh" "--$vehicle" --no-load -- /usr/bin/python3 "$here/suite/load_test.py"
  "$here/vm.sh" "--$vehicle" --timeout 14400 -- "$here/guest/run_all.sh" "${suite[@]}"
  heading "$vehicle: conformance"
  ACTIONDFS_BACKEND=kernel "$here/vm.sh" "--$vehicle" --timeout 14400 --env ACTIONDFS_TEST_DIR=/mnt/ext4 -- \
    "$here/guest/run_all.sh" "$repository"/tests/conformance/*_test.py
  heading "$vehicle: $minutes minutes of everything at once"
  ACTIONDFS_ENDURANCE_SECONDS=$((minutes * 60)) "$here/vm.sh" "--$vehicle" --timeout $((minutes * 60 * 2 + 3600)) -- \
    /usr/bin/python3 "$here/suite/endurance_test.py"
done
heading "no report"
