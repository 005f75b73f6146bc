#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The demonstration: on Debian 12, as root, with nothing installed before. Builds actiondfs, imports the GoogleTest
# source tree into a content-addressed store, and compiles and runs a test program from that tree in a container whose
# root is the host's toolchain. Everything is in a scratch directory, which goes at the end. Any step that does not
# hold ends it with exit code 1.
set -euo pipefail
cd "$(dirname "$0")/.."

python=/usr/bin/python3
source_tree=/usr/src/googletest
bin="$PWD/build/release/bin"
scratch=
server=

if [ -t 1 ]; then bold=$'\e[1m' plain=$'\e[0m'; else bold='' plain=''; fi
say() { printf '\n%s== %s%s\n' "$bold" "$*" "$plain"; }
fail() {
  echo "demo.sh: FAILED: $*" >&2
  exit 1
}

runtime() { runc --root "$scratch/runc" "$@"; }

cleanup() {
  local code=$? id mounted
  trap - EXIT INT TERM
  if [ -n "$scratch" ]; then
    for id in strict overlay; do runtime delete --force "demo-$id-$$" >/dev/null 2>&1 || true; done
    if [ -n "$server" ]; then
      kill "$server" 2>/dev/null || true
      wait "$server" 2>/dev/null || true
    fi
    if [ $code -ne 0 ] && [ -s "$scratch/serve.log" ]; then
      echo "The server's log:" >&2
      tail -n 20 "$scratch/serve.log" >&2
    fi
    mounted_below | sort -r | while read -r mounted; do umount -l "$mounted"; done
    rm -rf --one-file-system "$scratch"
  fi
  exit $code
}

mounted_below() { findmnt --raw --noheadings --output TARGET | awk -v top="$scratch/" 'index($0, top) == 1'; }

# run NAME MODE COMMAND: a container with the tree at /workspace.
run() {
  local name="$1" mode="$2" command="$3" bundle="$scratch/bundle-$1"
  $python tests/lib/bundle.py "$bundle" --hook "$bin/actiondfs-hook" --hook-config "$scratch/hook.json" \
    --annotation "dev.actiondfs.input-root=$root" --annotation "dev.actiondfs.mode=$mode" \
    -- /bin/bash -euc "$command"
  runtime run --bundle "$bundle" "demo-$name-$$"
}

[ "$(id -u)" -eq 0 ] || fail "this must run as root: it starts containers"
tests/lib/deps.sh build

say "Building (build/release)"
cmake --preset release >/dev/null
ninja -C build/release actiondfs actiondfs-hook | tail -n 1

trap cleanup EXIT
trap 'exit 130' INT TERM
scratch="$(mktemp -d "${TMPDIR:-/var/tmp}/actiondfs-demo.XXXXXX")"
mkdir "$scratch/cas" "$scratch/stage" "$scratch/state"
chmod 0700 "$scratch/state"
cat >"$scratch/hook.json" <<CONFIG
{
  "cas": {"default": {"path": "$scratch/cas", "layout": "sharded"}},
  "stage_root": "$scratch/stage",
  "state_root": "$scratch/state",
  "serve_socket": "$scratch/serve.sock",
  "records": {"path": "$scratch/records.jsonl"}
}
CONFIG

say "Importing $source_tree"
root="$("$bin/actiondfs" import "$source_tree" --cas "$scratch/cas" --layout sharded | tail -n 1)"
echo "input root: $root"

say "Starting the FUSE server"
"$bin/actiondfs" serve --socket "$scratch/serve.sock" --foreground >"$scratch/serve.log" 2>&1 &
server=$!
for _ in $(seq 100); do
  [ ! -S "$scratch/serve.sock" ] || break
  kill -0 "$server" 2>/dev/null || fail "the server ended: $(cat "$scratch/serve.log")"
  sleep 0.1
done
[ -S "$scratch/serve.sock" ] || fail "the server did not open its socket within 10 s"
echo "pid $server"

say "Strict mode: compile and run a test program from the tree, then try to change an input"
run strict strict '
  pwd
  mkdir out
  g++ -std=c++17 -pthread -Igoogletest -Igoogletest/include -o out/sample1_unittest \
    googletest/src/gtest-all.cc googletest/src/gtest_main.cc \
    googletest/samples/sample1.cc googletest/samples/sample1_unittest.cc
  out/sample1_unittest
  echo
  for change in ">> googletest/samples/sample1.cc" "> googletest/src/gtest.cc"; do
    if message="$(eval "echo changed $change" 2>&1)"; then echo "an input was changed: $change"; exit 1; fi
    echo "$message"
    case "$message" in *"Read-only file system"*) ;; *) echo "that is not EROFS"; exit 1 ;; esac
  done
  if message="$(rm -f README.md googletest/README.md 2>&1)"; then echo "an input was removed"; exit 1; fi
  echo "$message"
' | tee "$scratch/strict.log" || fail "the strict container"
grep -q '\[  PASSED  \]' "$scratch/strict.log" || fail "the test program did not pass"

say "Overlay mode: the same tree, but it may be changed"
run overlay overlay '
  echo "int actiondfs_was_here;" >>googletest/samples/sample1.cc
  tail -n 1 googletest/samples/sample1.cc
  g++ -std=c++17 -c -Igoogletest -Igoogletest/include -o sample1.o googletest/samples/sample1.cc
  nm sample1.o | grep actiondfs_was_here
  rm googletest/README.md
  [ ! -e googletest/README.md ]
' || fail "the overlay container"

say "The store has not changed"
"$bin/actiondfs" verify "$root" --cas "$scratch/cas" || fail "verify"
again="$("$bin/actiondfs" import "$source_tree" --cas "$scratch/cas" | tail -n 1)"
[ "$again" = "$root" ] || fail "the same tree has another digest now: $again"

say "The run records, and what the hook took"
[ "$(wc -l <"$scratch/records.jsonl")" -eq 2 ] || fail "there should be two run records"
$python - "$scratch/records.jsonl" <<'RECORDS' || fail "the run records"
import json, sys
records = [json.loads(line) for line in open(sys.argv[1])]
print(json.dumps({**records[0], "counters": {k: v for k, v in records[0]["counters"].items() if v}}, indent=1))
assert [r["mode"] for r in records] == ["strict", "overlay"], "modes"
assert records[0]["staged"]["files"] >= 1, "the test program was staged"
for record in records:
    for stage in ("prestart", "poststop"):
        steps = [s for s in record["steps"] if s["name"].startswith(stage)]
        assert steps, f"no timings of {stage}"
        print(f"{record['mode']:8} {stage}: {sum(s['microseconds'] for s in steps) / 1000:.2f} ms")
RECORDS

say "Nothing is left behind"
# The state directory is a private mount of itself, for as long as the host runs.
left="$(mounted_below | grep -vxF "$scratch/state" || true)"
[ -z "$left" ] || fail "mounts: $left"
left="$("$bin/actiondfs" ps --json --config "$scratch/hook.json")"
[ "$left" = "[]" ] || fail "leases: $left"
for folder in stage state; do
  left="$(find "$scratch/$folder" -mindepth 1 -maxdepth 1 ! -name '.*' ! -name '*.lock')"
  [ -z "$left" ] || fail "left in the $folder directory: $left"
done
echo "no mount, no stage, no lease"

say "Done: everything held"
