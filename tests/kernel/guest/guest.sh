#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Process 1 of the guest once it is on its own root: makes it a machine that tests and container runtimes can work with,
# runs what vm.sh left in /out/.vm, says how that ended, and powers off.
#
# From the kernel's command line: actiondfs_vehicle, actiondfs_keep (paths, with colons: what must stay visible of the
# host's files), actiondfs_modules (the kernel's modules, may be empty), actiondfs_timeout (seconds).
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}"
control=/out/.vm

# finish STATUS
finish() {
  echo "$1" >$control/status
  sync $control/status /out
  exec busybox poweroff -f
}

must() {
  if ! "$@"; then
    echo "actiondfs-vm: failed: $*" >/dev/kmsg
    finish 125
  fi
}

# fresh DIRECTORY [OPTIONS]: a tmpfs there. The host's directory and its overlay will not do: overlayfs cannot be the
# upper layer of another overlayfs. What this run is about stays visible if it is below.
fresh() {
  local directory="$1" path kept=()
  must mkdir -p "$directory" /.kept
  for path in ${actiondfs_keep//:/ }; do
    case "$path/" in
      "$directory"/*)
        must mkdir -p "/.kept/${#kept[@]}"
        must mount --bind "$path" "/.kept/${#kept[@]}"
        kept+=("$path")
        ;;
    esac
  done
  must mount -t tmpfs -o "mode=${2:-0755}" tmpfs "$directory"
  for path in "${!kept[@]}"; do
    must mkdir -p "${kept[path]}"
    must mount --move "/.kept/$path" "${kept[path]}"
  done
}

mount --make-rprivate /
mkdir -p /dev/shm /dev/pts /dev/mqueue
must mount -t tmpfs -o mode=1777 tmpfs /dev/shm
must mount -t devpts -o gid=5,mode=620,ptmxmode=666 devpts /dev/pts
mount -t mqueue mqueue /dev/mqueue
# udev makes these elsewhere.
ln -sf /proc/self/fd /dev/fd
ln -sf fd/0 /dev/stdin
ln -sf fd/1 /dev/stdout
ln -sf fd/2 /dev/stderr
fresh /run
must mkdir -m 1777 -p /run/lock
fresh /tmp 1777
fresh /var/tmp 1777
fresh /var/lib/containers
fresh /var/lib/containerd
must mount -t cgroup2 -o nsdelegate cgroup2 /sys/fs/cgroup
# No process of ours is in the root group of the tree that runtimes divide up.
must mkdir /sys/fs/cgroup/init
echo 1 >/sys/fs/cgroup/init/cgroup.procs
sed 's/\(^\| \)/ +/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
mount -t debugfs debugfs /sys/kernel/debug
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
busybox ip link set lo up
hostname "actiondfs-${actiondfs_vehicle}"
ulimit -n 65536

release="$(uname -r)"
if [ -n "$actiondfs_modules" ]; then
  # For modprobe: modules as in the package, and ours.
  rm -rf "/lib/modules/$release"
  mkdir -p /lib/modules
  must ln -s "$actiondfs_modules" "/lib/modules/$release"
  for module in fuse loop; do modprobe -q "$module"; done
fi

must mkdir -p /mnt/ext4
for disk in /dev/vda /dev/ubda; do
  [ ! -b $disk ] || must mount -t ext4 -o noinit_itable $disk /mnt/ext4
done

# From here on the console has everything that the kernel says: reports come at levels that "quiet" leaves out.
dmesg -n 8
export ACTIONDFS_VM="$actiondfs_vehicle" ACTIONDFS_OUT=/out ACTIONDFS_EXT4=/mnt/ext4
if [ -e $control/actiondfs.ko ]; then
  export ACTIONDFS_KO=$control/actiondfs.ko
  if [ ! -e $control/no-load ]; then must insmod $ACTIONDFS_KO; fi
fi

# The device that is the host's stdin and stdout.
terminal=/dev/ttyS0
for port in /sys/class/virtio-ports/*; do
  case "$(cat "$port/name" 2>/dev/null)" in
    actiondfs.output) terminal="/dev/${port##*/}" ;;
  esac
done
# What a shell starts in the background ignores these otherwise, and so does all that it starts.
normal=(env --default-signal=INT,QUIT)
if [ -e $control/shell ]; then
  if [ -c /dev/hvc0 ]; then terminal=/dev/hvc0; fi
  # Open for as long as this runs: what is typed while nobody has it open is lost.
  exec 3<>$terminal
  read -r rows columns <$control/shell
  stty sane rows "$rows" columns "$columns" <&3
  setsid --ctty "${normal[@]}" bash $control/command <&3 >&3 2>&1 3>&- &
else
  # Bytes as they are. It is not the command's controlling terminal: nothing in its output may end it.
  exec 3>$terminal
  case $terminal in /dev/tty*) stty raw -echo <&3 ;; esac
  setsid "${normal[@]}" bash $control/command </dev/null >&3 2>&1 3>&- &
fi
command=$!

sleep "$actiondfs_timeout" &
clock=$!
wait -n -p ended $command $clock
status=$?
if [ "$ended" = "$clock" ]; then
  # Where everybody is, for the console's log; vm.sh takes blocked tasks here for what they are.
  echo "actiondfs-vm: not done after $actiondfs_timeout s" >/dev/kmsg
  echo 9 >/proc/sys/kernel/printk
  echo w >/proc/sysrq-trigger
  echo l >/proc/sysrq-trigger
  finish 124
fi

if [ -e $control/kmemleak ] && [ -w /sys/kernel/debug/kmemleak ]; then
  # An object is only suspected when it is five seconds old, and then at the second scan.
  sleep 6
  echo scan >/sys/kernel/debug/kmemleak
  echo scan >/sys/kernel/debug/kmemleak
  cat /sys/kernel/debug/kmemleak >/out/kmemleak.log
fi
# Waits until the host has all of the output.
case $terminal in /dev/tty* | /dev/hvc*) stty raw <&3 2>/dev/null ;; esac
finish $status
