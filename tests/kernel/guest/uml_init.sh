#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The first program in user-mode Linux, on the host's files, read-only, by hostfs: a tmpfs goes above them, and guest.sh
# takes over. The variables come from the kernel's command line.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
give_up() {
  echo "actiondfs-vm: init failed: $*" >/dev/kmsg
  exec busybox poweroff -f
}
mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs devtmpfs /dev || give_up "proc, sys, dev"
mount -t tmpfs -o size=90% tmpfs /mnt && mkdir /mnt/upper /mnt/work /mnt/root || give_up tmpfs
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work overlay /mnt/root || give_up overlay
for directory in proc sys dev; do mount -n --move /$directory /mnt/root/$directory; done
mkdir -p /mnt/root/out /mnt/root/.host && mount -t hostfs -o "$actiondfs_output" none /mnt/root/out || give_up output
# Not just chroot(): runtimes pivot, which asks that / is a mount of its own.
cd /mnt/root && pivot_root . .host && cd / && umount -l /.host && rmdir /.host || give_up pivot_root
exec /bin/bash "$actiondfs_guest"
