#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The crash tests without ctest: README.md.
set -euo pipefail

usage() {
  cat <<'USAGE'
usage: tests/crash/run.sh [--build DIR] [--all]                 every test; with --all the matrix takes every system call
       tests/crash/run.sh [--build DIR] --soak [-n N] [-j N]    many containers with runc
USAGE
}

here="$(cd "$(dirname "$0")" && pwd)"
build="$here/../../build/dev"
soak=
while [ $# -gt 0 ]; do
  case "$1" in
    --build) build="${2:?--build needs a directory}"; shift ;;
    --all) export ACTIONDFS_CRASH=all ;;
    --soak) soak=1; shift; break ;;
    -h|--help) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
  shift
done

build="$(cd "$build" && pwd)"
export ACTIONDFS="$build/bin/actiondfs" ACTIONDFS_HOOK="$build/bin/actiondfs-hook"
export ACTIONDFS_AT_CALL="$build/tests/crash/crash_at_call" PYTHONDONTWRITEBYTECODE=1
python=/usr/bin/python3

if [ -n "$soak" ]; then
  exec "$python" "$here/soak.py" "$@"
fi
status=0
for test in matrix_test.py state_test.py race_test.py 'runtime_test.py runc' 'runtime_test.py crun'; do
  echo "== $test"
  # shellcheck disable=SC2086 # a name and its argument
  (cd "$here" && "$python" $test) || status=$?
done
exit $status
