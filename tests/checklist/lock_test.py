#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Root of a container's own user namespace, with every capability there, cannot take a flag from its workspace."""

import os
import unittest

import checklist
from host import ALL_CAPABILITIES, Bundle

# The flags of /workspace as the kernel has them, then what each way of taking one away comes to.
SCRIPT = r"""
flags() { awk '$5 == "/workspace" { print $6 }' /proc/self/mountinfo; }
try() { if "$@" 2>/dev/null; then echo "TAKEN: $*"; fi; }
echo "before $(flags)"
try mount -o remount,bind,rw,suid,dev /workspace
[ $MODE != readonly ] || try mount -o remount,bind,rw,nosuid,nodev /workspace
try mount -o remount,bind,ro,suid,nodev /workspace
try mount -o remount,bind,ro,nosuid,dev /workspace
try mount -o remount,rw /workspace
mkdir -p /tmp/copy
mount --bind /workspace /tmp/copy && try mount -o remount,bind,rw,suid,dev /tmp/copy
# A mount of its own can be changed: it is the workspace that is refused, not everything.
mkdir -p /tmp/own && mount -t tmpfs -o ro,nosuid,nodev none /tmp/own && mount -o remount,bind,rw,suid,dev /tmp/own && echo own changed
echo "after $(flags)"
[ $MODE != readonly ] || ! touch /workspace/new 2>/dev/null || echo CHANGED
umount /workspace && echo umounted
"""


class LockTest(checklist.ContainerTest):
    def test_no_flag_can_be_taken_by_root_of_a_user_namespace(self):
        for mode, flags in (("readonly", {"ro", "nosuid", "nodev"}), ("strict", {"nosuid", "nodev"}),
                            ("overlay", {"nosuid", "nodev"})):
            with self.subTest(mode=mode):
                out = self.run_ok(Bundle(self.annotations(mode=mode), f"MODE={mode}" + SCRIPT, user_namespace=True,
                                         capabilities=ALL_CAPABILITIES)).splitlines()
                self.assertEqual([line for line in out if "TAKEN" in line or line == "CHANGED"], [])
                for line in (out[0], out[-2]):
                    self.assertLessEqual(flags, set(line.split()[1].split(",")), line)
                self.assertIn("own changed", out)
                self.assertEqual(out[-1], "umounted")
                self.check_store()

    def test_nobody_who_locks_a_mount_is_left(self):
        out = self.run_ok(Bundle(self.annotations(), "true", user_namespace=True))
        self.assertEqual(out, "")
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue  # it has ended
            self.assertFalse(words[0].endswith(b"actiondfs-hook") and self.host.config_path.encode() in words, pid)


if __name__ == "__main__":
    checklist.main("runc")
