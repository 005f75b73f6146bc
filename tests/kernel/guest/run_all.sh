#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run_all.sh [-j N] TEST...: for tests that share one boot. Runs each of these Python files, in the guest, one after the
# other or N at a time; each has its output in $ACTIONDFS_OUT/NAME.log, shown if it fails; what it skipped, and why, is shown
# in any case. Exit status 1 if one failed, 77 if all skipped.
set -uo pipefail
jobs=1
if [ "${1-}" = -j ]; then
  jobs="${2:?-j needs a number}"
  shift 2
fi
results="$(mktemp -d)"
export results

run_one() {
  local test="$1" name log begin=$SECONDS status result
  name="$(basename "$test" .py)"
  log="${ACTIONDFS_OUT:-/tmp}/$name.log"
  # So that the console says whose report is whose.
  echo "actiondfs-vm: $name" >/dev/kmsg
  /usr/bin/python3 "$test" >"$log" 2>&1
  status=$?
  case $status in
    0) result=passed ;;
    77) result=skipped ;;
    *) result=FAILED; cat "$log" ;;
  esac
  [ "$result" = FAILED ] || grep '^skipped: ' "$log"
  printf '%-32s %s (%d), %d s\n' "$name" "$result" $status $((SECONDS - begin))
  touch "$results/$result.$name"
}
export -f run_one

printf '%s\0' "$@" | xargs -0 -n 1 -P "$jobs" bash -c 'run_one "$0"'
count() { find "$results" -name "$1.*" | wc -l; }
echo "$(count passed) passed, $(count skipped) skipped, $(count FAILED) failed"
[ "$(count FAILED)" -eq 0 ] && [ $(($(count passed) + $(count skipped))) -eq $# ] || exit 1
[ "$(count passed)" -gt 0 ] || exit 77
