# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# Sourced by the scripts of this folder: where things are, and which kernel.
#
# A vehicle is a kernel, and what runs it:
#   uml         user-mode Linux, built here           uml-debug    the same with every checker
#   qemu        Debian's own image                    qemu-debug   built here: checkers, and more than one CPU
set -euo pipefail
# Without it a failure in $(...) would be no failure.
shopt -s inherit_errexit

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
repository="$(cd "$here/../.." && pwd)"
cache="${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/actiondfs"
jobs="${ACTIONDFS_JOBS:-$(nproc)}"
module_sources="${ACTIONDFS_MODULE_SOURCES:-$repository/kernel}"
readonly here repository cache jobs module_sources

# Also the exit status that ctest takes for "skipped".
readonly cannot=77

fail() {
  echo "${0##*/}: $*" >&2
  exit 1
}

# What this needs cannot be had here.
skip() {
  echo "${0##*/}: skipped: $*" >&2
  exit $cannot
}

need() {
  local program
  for program in "$@"; do
    command -v "$program" >/dev/null || skip "there is no $program here (tests/lib/deps.sh kernel installs it)"
  done
}

check_vehicle() {
  case "$1" in
    uml | uml-debug | qemu | qemu-debug) ;;
    *) fail "no such vehicle: '$1' (uml, uml-debug, qemu, qemu-debug)" ;;
  esac
}

have_module() {
  grep -qs '^module_init(' "$module_sources"/*.c
}

# Prints the version of Debian's 6.12 packages to use: the one that is asked for, else the archive's, else, without
# an archive, the newest that is in the cache.
source_version() {
  local version="${ACTIONDFS_KERNEL_VERSION-}"
  if [ -z "$version" ]; then
    version="$(LC_ALL=C apt-cache policy linux-source-6.12 2>/dev/null | sed -n 's/^  Candidate: //p')"
  fi
  if [ -z "$version" ] || [ "$version" = "(none)" ]; then
    version="$(find "$cache" -maxdepth 1 -name 'kernel-*-6.12.*' -printf '%f\n' 2>/dev/null |
      sed -nE 's/^kernel-(source|debian)-(6\.12\.[^/]*[0-9])$/\2/p' | sort -V | tail -n 1)"
  fi
  [ -n "$version" ] || skip "apt knows no linux-source-6.12, and the cache $cache holds none"
  echo "$version"
}

# release VERSION: what uname says in the kernel of these packages: 6.12.117-1~deb12u1 -> 6.12.117+deb12-amd64
release() {
  sed -E 's/^([0-9.]+)-.*~(deb[0-9]+).*$/\1+\2-amd64/' <<<"$1"
}

# in_cache NAME FUNCTION [ARG...]: prints the path of the cache's directory NAME. If that is not complete yet, FUNCTION
# ARG... completes it, with it as working directory; whoever else wants it waits. It has its name from the start because
# kernel builds cannot be moved, so a mark says that it is complete.
in_cache() {
  local path="$cache/$1"
  shift
  if [ ! -e "$path/.complete" ]; then
    mkdir -p "$path"
    (
      flock 9
      if [ ! -e "$path/.complete" ]; then
        cd "$path"
        "$@" >&2
        touch .complete
      fi
    ) 9>"$path.lock"
  fi
  echo "$path"
}

# download PACKAGE VERSION: fetches PACKAGE_VERSION*.deb into the working directory.
download() {
  rm -f ./"$1"_*.deb
  echo "fetching $1 $2"
  apt-get -q -o Acquire::Retries=3 -o APT::Sandbox::User=root download "$1=$2" ||
    skip "apt cannot fetch $1 $2"
}

fill_source() {
  need apt-get dpkg-deb xz
  download linux-source-6.12 "$1"
  dpkg-deb --fsys-tarfile ./linux-source-*.deb | tar -x --to-stdout --wildcards '*.tar.xz' |
    tar -xJ --strip-components=1
  rm ./*.deb
}

# Debian's image, its modules and its headers, as the packages have them, but nothing is installed: on the host this
# must not become a kernel to boot.
fill_debian() {
  local release
  release="$(release "$1")"
  need apt-get dpkg-deb depmod
  for package in "linux-image-$release" "linux-headers-$release" "linux-headers-${release%-amd64}-common" \
    "linux-kbuild-${release%-amd64}"; do
    download "$package" "$1"
  done
  for package in ./*.deb; do dpkg-deb -x "$package" .; done
  rm ./*.deb
  # The only absolute path in the headers.
  sed -i "s|^include /usr/src/\(.*\)/Makefile|include \$(dir \$(lastword \$(MAKEFILE_LIST)))../\1/Makefile|" \
    "usr/src/linux-headers-$release/Makefile"
  depmod -b . "$release"
}

# Bytes that user-mode Linux has for a processor's extended state. Linux refuses to set less than the processor's whole
# state; 6.12 has 2,696 bytes, less than AMX needs (11,008), and no process starts then. Upstream asks the processor
# since 6.13.
readonly uml_state_bytes=16384

kernel_source() {
  local source offsets
  source="$(in_cache "kernel-source-$1" fill_source "$1")"
  offsets="$source/arch/x86/um/user-offsets.c"
  if ! grep -q "HOST_FP_SIZE, $uml_state_bytes)" "$offsets"; then
    sed -i "s/HOST_FP_SIZE, 2696)/HOST_FP_SIZE, $uml_state_bytes)/" "$offsets"
    grep -q "HOST_FP_SIZE, $uml_state_bytes)" "$offsets" || fail "$offsets is not what 6.12 has"
  fi
  echo "$source"
}

debian_kernel() {
  in_cache "kernel-debian-$1" fill_debian "$1"
}
