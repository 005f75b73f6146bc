#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# tests/lib/deps.sh build|test|kernel: installs the Debian 12 packages that building and the demonstration ("build"), on
# top of that the tests ("test"), and on top of those the tests of the kernel module ("kernel") need. Only what is
# missing is installed; apt's lists are only read anew when something is. Touches nothing else.
set -eu

build_packages="
  build-essential cmake ninja-build pkg-config python3
  protobuf-compiler libprotobuf-dev nlohmann-json3-dev libcli11-dev libfmt-dev
  libseccomp-dev libcap-dev libfuse3-dev libssl-dev
  libgtest-dev libgmock-dev googletest
  runc"
test_packages="
  clang-19 clang-tidy-19 clang-format-19 libclang-rt-19-dev llvm-19
  crun podman containerd conmon uidmap busybox-static
  attr ccache e2fsprogs fio git jq procps strace util-linux"
# To build the module and kernels, and to boot them. The kernels themselves: tests/kernel/build_kernel.sh.
kernel_packages="
  bc bison cpio dmsetup flex gcc-12 kmod libcap2-bin libelf-dev make pahole perl rsync sparse xfsprogs xz-utils
  qemu-system-common qemu-system-x86"

fail() {
  echo "deps.sh: $*" >&2
  exit 1
}

installed() {
  [ "$(dpkg-query --show --showformat '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Sets `missing` to those of the arguments that are not installed.
find_missing() {
  missing=""
  for package in "$@"; do
    installed "$package" || missing="$missing $package"
  done
}

case "${1-}" in
  build) packages="$build_packages" ;;
  test) packages="$build_packages $test_packages" ;;
  kernel) packages="$build_packages $test_packages $kernel_packages" ;;
  *) fail "usage: deps.sh build|test|kernel" ;;
esac

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
  fail "this is not a Debian system; packages that are needed:" $packages
# Unquoted on purpose, here and below: one word a package.
find_missing $packages
[ -n "$missing" ] || exit 0

echo "Installing:$missing"
[ "$(id -u)" -eq 0 ] || fail "packages are missing and this is not root:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get -q -o Acquire::Retries=3 update ||
  fail "apt-get update failed; packages that are missing:$missing"
apt-get -q -y -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 install --no-install-recommends $missing ||
  fail "apt-get could not install:$missing (written for Debian 12, with its security updates)"
find_missing $packages
[ -z "$missing" ] || fail "apt-get did not install:$missing"
