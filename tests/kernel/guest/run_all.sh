#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run_all.sh TEST...: for tests that share one boot. Runs each of these Python files, in the guest, one after the other;
# each has its output in $ACTIONDFS_OUT/NAME.log, shown if it fails. Exit status 1 if one failed, 77 if all skipped.
set -uo pipefail
passed=0 skipped=0 failed=0
for test in "$@"; do
  name="$(basename "$test" .py)"
  log="${ACTIONDFS_OUT:-/tmp}/$name.log"
  begin=$SECONDS
  # So that the console says whose report is whose.
  echo "actiondfs-vm: $name" >/dev/kmsg
  /usr/bin/python3 "$test" >"$log" 2>&1
  status=$?
  case $status in
    0) result=passed; passed=$((passed + 1)) ;;
    77) result=skipped; skipped=$((skipped + 1)); tail -n 3 "$log" ;;
    *) result="FAILED ($status)"; failed=$((failed + 1)); cat "$log" ;;
  esac
  printf '%-32s %s, %d s\n' "$name" "$result" $((SECONDS - begin))
done
echo "$passed passed, $skipped skipped, $failed failed"
[ $failed -eq 0 ] || exit 1
[ $passed -gt 0 ] || exit 77
