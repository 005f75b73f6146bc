#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""vm.sh: a guest's result, output and files come back, and what its kernel reports is a failure. Runs on the host."""

import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
VEHICLE = os.environ.get("ACTIONDFS_KERNEL_VEHICLE", "uml")
SKIP = 77


def guest(script, *options):
    """What vm.sh makes of a shell script in the guest; the module plays no part."""
    command = [HERE / "vm.sh", f"--{VEHICLE}", "--no-module", "--no-kmemleak", "--timeout", "120", *options]
    return subprocess.run([*command, "--", "sh", "-c", script], capture_output=True, text=True, errors="replace")


class ConsoleTest(unittest.TestCase):
    """console.sh alone: which lines are reports."""

    def reports(self, text):
        with tempfile.NamedTemporaryFile("w") as log:
            log.write(text)
            log.flush()
            return subprocess.run([HERE / "console.sh", log.name], capture_output=True, text=True).returncode

    def test_reports(self):
        for line in (
            "[    1.000000] BUG: KASAN: slab-use-after-free in actiondfs_lookup+0x10/0x20 [actiondfs]",
            "[    1.000000] WARNING: CPU: 0 PID: 1 at fs/inode.c:300 drop_nlink+0x2a/0x40",
            "[    1.000000] WARNING: possible recursive locking detected",
            "[    1.000000] WARNING: possible circular locking dependency detected",
            "[    1.000000] UBSAN: shift-out-of-bounds in kernel/dir.c:10:5",
            "[    1.000000] BUG: sleeping function called from invalid context at mm/slab.h:1",
            "[  121.000000] INFO: task umount:12 blocked for more than 120 seconds.",
            "[    1.000000] kernel BUG at fs/inode.c:100!",
            "[    1.000000] Oops: general protection fault, probably for non-canonical address",
            "[    1.000000] refcount_t: underflow; use-after-free.",
            "[    1.000000] list_del corruption. prev->next should be ffff",
            "[    1.000000] VFS: Busy inodes after unmount of actiondfs (actiondfs)",
            "[    1.000000] BUG actiondfs_inode (Not tainted): Objects remaining in actiondfs_inode",
            "[    1.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
            "unreferenced object 0xffff888100000000 (size 64):",
        ):
            self.assertEqual(self.reports(f"[    0.000000] Linux version 6.12\n{line}\n"), 1, line)

    def test_ordinary_lines(self):
        self.assertEqual(self.reports(
            "[    0.000000] Linux version 6.12\n"
            "[    1.000000] actiondfs: loading out-of-tree module taints kernel.\n"
            "[    1.000000] actiondfs: 00ff/12: not a Directory: names are not sorted\n"
            "[    1.000000] FAULT_INJECTION: forcing a failure\n"), 0)

    def test_no_such_file(self):
        self.assertEqual(subprocess.run([HERE / "console.sh", "/nonexistent"], capture_output=True).returncode, 2)


class GuestTest(unittest.TestCase):
    """A boot takes a while in QEMU, so one shows all that does not end it in a way of its own."""

    def test_a_guest(self):
        mark = HERE / "harness_test.mark"
        with tempfile.TemporaryDirectory() as output:
            done = guest(f"""
                uname -r
                set -e
                grep -q ' /mnt/ext4 ext4 ' /proc/mounts
                for directory in $ACTIONDFS_EXT4 /tmp /run /dev/shm /var/tmp /var/lib/containers; do
                  echo written >$directory/file
                done
                stat -f -c %T /sys/fs/cgroup
                test -c /dev/fuse
                bash -c 'cat <(echo substituted)'
                echo x >{mark} && cat {mark}
                echo "$VARIABLE"
                echo error >&2
                echo written >$ACTIONDFS_OUT/result
                seq 1 20000
                exit 7""", "--output", output, "--env", "VARIABLE=with a space")
            self.assertEqual(done.returncode, 7, done.stdout + done.stderr)
            release, *lines = done.stdout.splitlines()
            self.assertRegex(release, r"^6\.12\.")
            self.assertEqual(lines[:5], ["cgroup2fs", "substituted", "x", "with a space", "error"])
            self.assertEqual(lines[5:], [str(n) for n in range(1, 20001)], "output is whole")
            self.assertEqual(pathlib.Path(output, "result").read_text(), "written\n")
            self.assertTrue(pathlib.Path(output, "console.log").stat().st_size)
        self.assertFalse(mark.exists(), "the guest wrote to the host")

    def test_a_report_fails_the_run(self):
        done = guest("echo '<4>WARNING: possible recursive locking detected' >/dev/kmsg")
        self.assertEqual(done.returncode, 126, done.stderr)
        self.assertIn("possible recursive locking", done.stderr)

    def test_a_panic_is_no_result(self):
        done = guest("echo c >/proc/sysrq-trigger; echo still here")
        self.assertEqual(done.returncode, 125, done.stderr)
        self.assertIn("Kernel panic", done.stderr)

    def test_timeout(self):
        done = guest("echo begun; exec sleep 1000", "--timeout", "3")
        self.assertEqual(done.returncode, 124, done.stderr)
        self.assertIn("begun\n", done.stdout)

    def test_shell_takes_commands(self):
        with subprocess.Popen(
                [HERE / "vm.sh", f"--{VEHICLE}", "--no-module", "--no-kmemleak", "--timeout", "120", "--shell"],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as shell:
            shell.stdin.write("echo $((6 * 7)); exit 5\n")
            shell.stdin.flush()
            out = shell.stdout.read()
            self.assertEqual(shell.wait(), 5, shell.stderr.read())
            self.assertIn("42", out)


if __name__ == "__main__":
    # Whether there is anything to test, before each test finds out.
    built = subprocess.run([HERE / "build_kernel.sh", VEHICLE], stdout=subprocess.DEVNULL)
    if built.returncode == SKIP or os.geteuid() != 0:
        sys.exit(SKIP)
    unittest.main(verbosity=2)
