#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# tests/kernel/build_kernel.sh VEHICLE: makes the vehicle's kernel, if the cache does not have it yet, and prints where
# it is: for qemu, where Debian's packages are unpacked, for the others the build directory. uml takes 5 to 10 minutes,
# uml-debug twice that, qemu-debug half an hour; qemu is a download of 130 MB. They are kept in
# ${XDG_CACHE_HOME:-~/.cache}/actiondfs, under names that have the version and, if built here, a hash of the
# configuration and the compiler.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[ $# -eq 1 ] || fail "usage: build_kernel.sh uml|uml-debug|qemu|qemu-debug"
check_vehicle "$1"

# build ARCH SOURCE CONFIG TARGET...: builds in the working directory.
build() {
  local arch="$1" source="$2" config="$3"
  shift 3
  need gcc make flex bison bc perl
  echo "building $PWD; its log: $PWD/build.log"
  printf '%s\n' "$config" >wanted.config
  make -s -C "$source" O="$PWD" ARCH="$arch" KCONFIG_ALLCONFIG="$PWD/wanted.config" allnoconfig >build.log
  # What Kconfig did not take has a dependency that is not met: a checker that only seems to be there.
  if grep '=' wanted.config | grep -vxF -f .config; then
    fail "these settings did not get into $PWD/.config"
  fi
  if ! nice -n 5 make ARCH="$arch" -j "$jobs" "$@" >>build.log 2>&1; then
    tail -n 30 build.log
    fail "the kernel does not build; all of it: $PWD/build.log"
  fi
}

# built NAME ARCH TARGETS FRAGMENT...
built() {
  local name="$1" arch="$2" targets="$3" config hash version version_of_source source fragment
  shift 3
  # Without comments, so that these may be changed without building everything again. Who comes last is right.
  config="$(
    {
      for fragment in "$@"; do cat "$here/config/$fragment.config"; done
      echo "CONFIG_LOCALVERSION=\"-actiondfs-$name\""
    } | awk 'match($0, /^(# )?CONFIG_[A-Z0-9_]+[ =]/) {
        symbol = substr($0, 1, RLENGTH - 1); sub(/^# /, "", symbol); last[symbol] = $0
      }
      END { for (symbol in last) print last[symbol] }' | sort
  )"
  version="$(source_version)"
  if [ "$arch" = um ]; then version_of_source="$version $uml_state_bytes"; else version_of_source="$version"; fi
  hash="$( (echo "$arch $targets $version_of_source"; gcc --version | head -n 1; echo "$config") | sha256sum | cut -c 1-12)"
  source="$(kernel_source "$version")"
  # Unquoted on purpose: one word a target.
  # shellcheck disable=SC2086
  in_cache "kernel-$name-$version-$hash" build "$arch" "$source" "$config" $targets
}

case "$1" in
  uml) built uml um "linux modules" common uml ;;
  uml-debug) built uml-debug um "linux modules" common uml debug uml-debug ;;
  qemu) debian_kernel "$(source_version)" ;;
  qemu-debug) built qemu-debug x86 "bzImage modules" common x86 debug x86-debug ;;
esac
