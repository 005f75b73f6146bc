#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/kernel/console.sh FILE...: prints what kernels report in these logs (console, kmemleak), with a few lines around
# it. Exit status: 0 when there is no report, 1 when there is one, 2 when a file cannot be read. The one place that
# knows what a report looks like.
set -euo pipefail

[ $# -gt 0 ] || { echo "usage: console.sh FILE..." >&2; exit 2; }

# The kernel's own words only: the log also has what programs write to /dev/kmsg, and our module's warnings.
reports=(
  'BUG:'                              # KASAN, KCSAN, soft lockups, sleeping in atomic context, NULL dereferences
  'kernel BUG at '
  'WARNING: '                         # WARN_ON, lockdep
  'Call Trace:'
  'Oops: '
  'Oops\.'
  'general protection fault'
  'stack segment'
  'Kernel panic'
  'UBSAN: '
  'INFO: task .* blocked for more than'
  'INFO: rcu.* detected'
  'INFO: possible '
  'INFO: trying to register non-static key'
  'INFO: lockdep is turned off'
  'possible (recursive|circular) locking'
  '\[ BUG: '
  'suspicious RCU usage'
  'inconsistent lock state'
  'rcu: INFO: '
  'watchdog: .* lockup'
  'workqueue lockup'
  'ODEBUG: '
  'refcount_t: '
  'list_(add|del) corruption'
  'Bad page (state|map)'
  'bad: scheduling from|scheduling while atomic'
  'Objects remaining in '             # kmem_cache_destroy() of a cache in use
  'Slab cache still has objects'
  'Busy inodes after unmount'
  'Dentry .* still in use'
  'leaked .* references'
  'unreferenced object'               # kmemleak
  'kmemleak: [0-9]+ new suspected'
  'kmemleak: .*disabled'
  'actiondfs-vm: (init )?failed'      # the guest's own start
)

pattern="$(IFS='|'; echo "${reports[*]}")"
found=0
for file in "$@"; do
  status=0
  grep -E -a -B 3 -A 40 -m 200 -e "$pattern" -- "$file" || status=$?
  case $status in
    0) found=1 ;;
    1) ;;
    *) exit 2 ;;
  esac
done
exit $found
