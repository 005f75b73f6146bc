#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Boots a kernel with the module of this checkout and runs a command inside, on this machine's own files. README.md
# beside this file describes the guest.
# shellcheck source=lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

usage() {
  cat <<'USAGE'
usage: tests/kernel/vm.sh [VEHICLE] [OPTION...] -- COMMAND [ARGUMENT...]
       tests/kernel/vm.sh [VEHICLE] [OPTION...] --shell
Vehicle:
  --uml            user-mode Linux: a second to the command, one CPU (default)
  --uml-debug      the same with KASAN, lockdep, kmemleak, UBSAN, fault injection
  --qemu           Debian's own 6.12 kernel: ten seconds to the command
  --qemu-debug     the checkers with more than one CPU: half a minute to the command
Options:
  --output DIR     what the guest sees, writable, as $ACTIONDFS_OUT; gets console.log. Without it a temporary one,
                   which is removed if the command succeeds
  --timeout N      seconds after the start of the command (default 600): exit status 124
  --env NAME=VALUE for the command; what is named ACTIONDFS* or PYTHON* goes there anyway
  --no-load        do not load the module: $ACTIONDFS_KO says where it is
  --no-module      do not even build it
  --no-kmemleak    do not wait for kmemleak's verdict at the end, 8 s (--uml-debug and --qemu-debug)
  --cpus N         (default 2; --uml has one)
  --memory SIZE    (default 2G; 3G with checkers)
  --disk SIZE      of the ext4 file system in $ACTIONDFS_EXT4, sparse (default 4G)
  --append WORDS   for the kernel's command line
  --icount         for --qemu and --qemu-debug: one CPU, whose clock counts instructions: a nanosecond each. What is
                   measured in the guest no longer depends on what else the host does
Environment:
  ACTIONDFS_KERNEL_IMAGE  for --qemu: a directory where another of Debian's images is unpacked, with lib/modules/RELEASE;
                          ACTIONDFS_MODULE is the actiondfs.ko for it, built elsewhere
Exit status: the command's; 124 on timeout, 125 if the guest ended without one, 126 if the kernel reported something
(BUG, WARNING, KASAN, lockdep, a leak ...) although the command succeeded, 77 if a kernel cannot be had here.
USAGE
}

vehicle=uml
output='' timeout='' shell='' load=1 module=1 kmemleak=1 cpus=2 memory='' disk=4G append='' icount=''
variables=()
while [ $# -gt 0 ]; do
  case "$1" in
    --uml | --uml-debug | --qemu | --qemu-debug) vehicle="${1#--}" ;;
    --output | --timeout | --cpus | --memory | --disk | --append)
      [ $# -ge 2 ] || fail "$1 needs an argument"
      declare "${1#--}=$2"
      shift
      ;;
    --env)
      [[ "${2-}" =~ ^[A-Za-z_][A-Za-z0-9_]*= ]] || fail "--env needs NAME=VALUE"
      variables+=("$2")
      shift
      ;;
    --shell) shell=1 ;;
    --no-load) load='' ;;
    --no-module) module='' ;;
    --no-kmemleak) kmemleak='' ;;
    --icount) icount=1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    --)
      shift
      break
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
  shift
done
if [ -n "$shell" ]; then set -- bash -i; fi
[ $# -gt 0 ] || { usage >&2; exit 2; }
if [ -z "$timeout" ]; then timeout=$([ -n "$shell" ] && echo 86400 || echo 600); fi
[[ "$timeout" =~ ^[0-9]+$ ]] || fail "--timeout needs a number of seconds"
[ "$(id -u)" -eq 0 ] || skip "this is not root"
need busybox mke2fs
case $vehicle in
  qemu*)
    need qemu-system-x86_64 cpio xz modprobe
    virtiofsd=/usr/lib/qemu/virtiofsd
    if [ ! -x $virtiofsd ]; then virtiofsd=/usr/libexec/virtiofsd; fi
    if [ ! -x $virtiofsd ]; then skip "there is no virtiofsd here (tests/lib/deps.sh kernel installs it)"; fi
    ;;
esac
if [ -n "$icount" ]; then
  [[ "$vehicle" == qemu* ]] || fail "--icount is for --qemu and --qemu-debug"
  cpus=1
fi
case $vehicle in
  *-debug) memory="${memory:-3G}" ;;
  *) memory="${memory:-2G}" ;;
esac

ko=''
if [ -n "${ACTIONDFS_KERNEL_IMAGE-}" ]; then
  [ "$vehicle" = qemu ] || fail "ACTIONDFS_KERNEL_IMAGE is for --qemu"
  kernel="$(realpath "$ACTIONDFS_KERNEL_IMAGE")"
  if [ -n "$module" ]; then ko="${ACTIONDFS_MODULE:?the module for ACTIONDFS_KERNEL_IMAGE}"; fi
else
  # Asking apt takes a while: once.
  ACTIONDFS_KERNEL_VERSION="$(source_version)"
  export ACTIONDFS_KERNEL_VERSION
  kernel="$("$here/build_kernel.sh" "$vehicle")"
  if [ -n "$module" ] && have_module; then ko="$("$here/build_module.sh" "$vehicle")"; fi
fi

# The run's own: disk, memory, sockets; on a tmpfs if there is one.
scratch="$(mktemp -d -p "$([ -w /dev/shm ] && echo /dev/shm || echo "${TMPDIR:-/tmp}")" actiondfs-vm.XXXXXX)"
keep_output="$output"
if [ -z "$output" ]; then output="$(mktemp -d "${TMPDIR:-/tmp}/actiondfs-vm.XXXXXX")"; fi
mkdir -p "$output"
output="$(realpath "$output")"
console="$output/console.log"
control="$output/.vm"
servers=()
guest=''
saved_tty=''

clean_up() {
  local status=$? server
  trap - EXIT
  if [ -n "$guest" ]; then kill "$guest" 2>/dev/null && wait "$guest" || true; fi
  for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
  if [ -n "$saved_tty" ]; then stty "$saved_tty"; fi
  rm -rf "$scratch" "$control"
  if [ -z "$keep_output" ]; then
    if [ $status -eq 0 ]; then rm -rf "$output"; else echo "vm.sh: kept: $output" >&2; fi
  fi
  exit $status
}
trap clean_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# What the guest must still see where it has a tmpfs of its own, such as in /tmp: the checkout, the kernels, the working
# directory, the programs that are tested.
kept=("$repository" "$PWD" "$cache" "$kernel")
for variable in "${!ACTIONDFS@}"; do
  case "${!variable}" in
    /*) if [ -f "${!variable}" ]; then kept+=("$(dirname "${!variable}")"); fi ;;
  esac
done
# These go on a kernel's command line, in a list with colons.
for path in "$output" "$here" "${kept[@]}"; do
  case "$path" in
    *[[:space:]:,]*) fail "a path with spaces, colons or commas: $path" ;;
  esac
done

rm -rf "$control" "$console" "$output/kmemleak.log"
mkdir "$control"
{
  unset ACTIONDFS_TEST_DIR  # the host's; --env sets the guest's
  for variable in "${!ACTIONDFS@}" "${!PYTHON@}"; do printf 'export %s=%q\n' "$variable" "${!variable}"; done
  for variable in "${variables[@]}"; do printf 'export %s=%q\n' "${variable%%=*}" "${variable#*=}"; done
  printf 'cd %q\nexec ' "$PWD"
  printf '%q ' "$@"
  echo
} >"$control/command"
if [ -n "$ko" ]; then cp "$ko" "$control/actiondfs.ko"; fi
if [ -z "$load" ]; then touch "$control/no-load"; fi
if [ -n "$kmemleak" ]; then touch "$control/kmemleak"; fi
if [ -n "$shell" ]; then
  stty size 2>/dev/null >"$control/shell" || echo "24 80" >"$control/shell"
  if [ -t 0 ]; then saved_tty="$(stty -g)"; fi
fi
truncate -s "$disk" "$scratch/disk"
mke2fs -q -t ext4 -m 0 -E lazy_itable_init=1,lazy_journal_init=1,nodiscard "$scratch/disk"

# An oops ends the guest: what comes after would prove nothing.
arguments="quiet panic=-1 oops=panic actiondfs_vehicle=$vehicle actiondfs_output=$output
  actiondfs_guest=$here/guest/guest.sh actiondfs_keep=$(IFS=:; echo "${kept[*]}") actiondfs_timeout=$timeout $append"
# The guest has its own clock; this one is for a guest that is stuck.
limit=$((timeout + 180))

# Each of the two sets ${machine[@]}, the program to run and its arguments.
prepare_uml() {
  # Unquoted on purpose: the kernel puts its arguments together again. The console is stderr.
  # shellcheck disable=SC2206
  machine=("$kernel/linux" "mem=$memory" root=/dev/root rootfstype=hostfs rootflags=/ ro "ubda=$scratch/disk"
    con=null con0=null,fd:2 ssl=null ssl0=fd:0,fd:1 "init=$here/guest/uml_init.sh" $arguments)
}

# What uname says in Debian's image.
image_release() {
  local modules=("$kernel"/lib/modules/*)
  basename "${modules[0]}"
}

# make_initrd IMAGE: busybox, and of Debian's kernel the modules on the way to the root, uncompressed: emulated CPUs
# are slow at that.
make_initrd() {
  local tree="$scratch/initrd" release name file
  mkdir -p "$tree"/{bin,dev,lower,modules,proc,root,sys,upper}
  cp "$(command -v busybox)" "$tree/bin/busybox"
  cp "$here/guest/initrd_init" "$tree/init"
  : >"$tree/modules/order"
  if [ -d "$kernel/lib/modules" ]; then
    release="$(image_release)"
    for name in virtio_pci virtiofs overlay virtio_blk ext4; do
      modprobe -d "$kernel" -S "$release" --show-depends "$name" || skip "Debian's kernel has no $name"
    done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | awk '!seen[$0]++' | while read -r file; do
      name="${file##*/}"
      name="${name%.xz}"
      case $file in
        *.xz) xz -dc "$file" >"$tree/modules/$name" ;;
        *) cp "$file" "$tree/modules/$name" ;;
      esac
      echo "$name" >>"$tree/modules/order"
    done
  fi
  (cd "$tree" && find . | cpio -o -H newc --quiet) >"$1"
}

# share TAG DIRECTORY OPTION...: a virtiofs server for the directory; adds its device to ${devices[@]}.
share() {
  local tag="$1" directory="$2" options
  shift 2
  options="$(IFS=,; echo "$*")"
  "$virtiofsd" --socket-path="$scratch/$tag.sock" -o "source=$directory,$options" >"$scratch/$tag.log" 2>&1 &
  servers+=($!)
  devices+=(-chardev "socket,id=$tag,path=$scratch/$tag.sock"
    -device "vhost-user-fs-pci,queue-size=1024,chardev=$tag,tag=$tag")
  until [ -S "$scratch/$tag.sock" ]; do
    kill -0 $! 2>/dev/null || fail "virtiofsd: $(cat "$scratch/$tag.log")"
    sleep 0.05
  done
}

prepare_qemu() {
  local devices=() image modules='' accelerator="tcg,thread=multi,tb-size=1024"
  if [ -n "$icount" ]; then
    accelerator="tcg,thread=single,tb-size=1024"
    devices+=(-icount shift=0)
  fi
  make_initrd "$scratch/initrd.img"
  if [ -d "$kernel/lib/modules" ]; then
    modules="$kernel/lib/modules/$(image_release)"
    image="$kernel/boot/vmlinuz-${modules##*/}"
    # Where newer packages have it.
    if [ ! -e "$image" ]; then image="$modules/vmlinuz"; fi
  else
    image="$kernel/arch/x86/boot/bzImage"
  fi
  share root / cache=always xattr sandbox=chroot
  share out "$output" cache=auto sandbox=chroot
  if [ -n "$shell" ]; then
    devices+=(-device virtconsole,chardev=stdio -chardev stdio,id=stdio,signal=off)
  else
    devices+=(-device virtserialport,chardev=stdio,name=actiondfs.output -chardev stdio,id=stdio)
  fi
  # no_timer_check: on a busy host the interrupts that the kernel waits for come late, and it panics.
  # These two instructions are slow where they are emulated, and the kernel copies with them if they are there.
  machine=(qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot
    -M q35 -accel "$accelerator" -cpu "max,-erms,-fsrm" -smp "$cpus" -m "$memory"
    -object "memory-backend-memfd,id=memory,size=$memory,share=on" -machine memory-backend=memory
    -chardev "file,id=console,path=$console" -serial chardev:console -device virtio-rng-pci
    -device virtio-serial-pci "${devices[@]}"
    -drive "if=none,id=disk,format=raw,cache=unsafe,discard=unmap,file=$scratch/disk"
    -device "virtio-blk-pci,drive=disk" -kernel "$image" -initrd "$scratch/initrd.img"
    -append "console=ttyS0 rdinit=/init mitigations=off nokaslr no_timer_check actiondfs_modules=$modules ${arguments//$'\n'/ }")
}

case $vehicle in
  uml*) prepare_uml ;;
  qemu*) prepare_qemu ;;
esac
# Without a shell the guest's terminal has an input that never comes and never ends: at its end QEMU would close the
# output too, and user-mode Linux cannot wait for /dev/null.
if [ -z "$shell" ]; then
  mkfifo "$scratch/input"
  exec <>"$scratch/input"
fi
exec 4<&0
# In the background, so that this script can be ended; and whatever ends it ends the machine. User-mode Linux has its
# memory in TMPDIR, and ends by abort() when its kernel panics.
(
  ulimit -c 0
  [[ "$vehicle" != uml* ]] || exec 2>"$console"
  TMPDIR="$scratch" exec setpriv --pdeathsig TERM timeout --foreground -k 5 "$limit" "${machine[@]}" <&4
) &
guest=$!
wait $guest || ended=$?
guest=''

status=125
if [ -s "$control/status" ]; then status="$(cat "$control/status")"; fi
logs=("$console")
if [ -e "$output/kmemleak.log" ]; then logs+=("$output/kmemleak.log"); fi
if ! "$here/console.sh" "${logs[@]}" >"$scratch/reports"; then
  {
    echo "vm.sh: the kernel's reports:"
    head -n 300 "$scratch/reports"
    [ $status -ne 0 ] || status=126
  } >&2
elif [ "$status" = 125 ]; then
  echo "vm.sh: the guest ended without a result (${ended:-0}); the end of its console:" >&2
  tail -n 30 "$console" >&2
elif [ "$status" = 124 ]; then
  echo "vm.sh: not done after $timeout s; what was blocked then:" >&2
  sed -n '/actiondfs-vm: not done/,$p' "$console" | head -n 200 >&2
fi
exit "$status"
