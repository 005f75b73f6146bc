#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/kernel/build_module.sh VEHICLE [--strict]: builds kernel/ for the vehicle's kernel, makes that if need be, and
# prints the path of the module. Each vehicle has a copy of the sources of its own to build in: build/kernel/VEHICLE in
# the checkout, or below ACTIONDFS_MODULE_BUILD; only what changed is compiled. --strict adds W=1 and sparse. Whatever
# either of them or the compiler has to say is an error.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage="usage: build_module.sh uml|uml-debug|qemu|qemu-debug [--strict]"
strict=''
case $# in
  1) ;;
  2) [ "$2" = --strict ] || fail "$usage"; strict=1 ;;
  *) fail "$usage" ;;
esac
vehicle="$1"
check_vehicle "$vehicle"
have_module || skip "there is no module in $module_sources"
need make rsync flock
if [ -n "$strict" ]; then need sparse; fi

ACTIONDFS_KERNEL_VERSION="$(source_version)"
export ACTIONDFS_KERNEL_VERSION
kernel="$("$here/build_kernel.sh" "$vehicle")"
directory="${ACTIONDFS_MODULE_BUILD:-$repository/build/kernel}/$vehicle${strict:+-strict}"
case $vehicle in
  uml*) arguments=(-C "$kernel" ARCH=um) ;;
  qemu)
    need gcc-12
    arguments=(-C "$kernel/usr/src/linux-headers-$(release "$ACTIONDFS_KERNEL_VERSION")")
    ;;
  qemu-debug) arguments=(-C "$kernel") ;;
esac
arguments+=("M=$directory" -j "$jobs" modules)

mkdir -p "$directory"
exec 9>"$directory.lock"
flock 9
log="$directory.log"
# What was built here stays, sources that are gone go. What is new here is new to make, however old it is elsewhere.
rsync -rlpc --delete --exclude=/generated/ --include='*/' --include='*.[chS]' --include=Kbuild --include=Makefile \
  --exclude='*' "$module_sources/" "$directory/"
if [ -n "$strict" ]; then arguments+=(W=1 C=2); fi
if ! make "${arguments[@]}" >"$log" 2>&1; then
  cat "$log" >&2
  fail "the module does not build for $vehicle"
fi
if grep -E 'warning:|error:' "$log" >&2; then fail "warnings; all of it: $log"; fi
echo "$directory/actiondfs.ko"
