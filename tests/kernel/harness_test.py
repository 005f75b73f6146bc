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
    return subprocess.run(
        [HERE / "vm.sh", f"--{VEHICLE}", "--no-module", "--no-kmemleak", "--timeout", "120", *options, "--", "sh", "-c", script],
        capture_output=True, text=True, errors="replace")


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
            "[    1.000000] BUG actiondfs_inode (Not tainted): Objects remaining in actiondfs_inode on __kmem_cache_shutdown()",
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

    def test_output_and_status(self):
        done = guest("echo out; echo err >&2; exit 7")
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertEqual(done.stdout, "out\nerr\n")

    def test_output_is_whole_and_unchanged(self):
        done = guest("seq 1 20000")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "".join(f"{n}\n" for n in range(1, 20001)))

    def test_what_the_guest_has(self):
        done = guest(
            "set -e; uname -r; grep -q ' /mnt/ext4 ext4 ' /proc/mounts; echo x >$ACTIONDFS_EXT4/file;"
            "for d in /tmp /run /dev/shm /var/tmp; do echo x >$d/file; done;"
            "stat -f -c %T /sys/fs/cgroup | grep -q cgroup2; test -w /dev/fuse; bash -c 'cat <(echo substituted)';"
            f"test -e {__file__}; echo $VARIABLE", "--env", "VARIABLE=with a space")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertRegex(done.stdout, r"^6\.12\.")
        self.assertEqual(done.stdout.splitlines()[1:], ["substituted", "with a space"])

    def test_the_host_is_not_written_to(self):
        mark = HERE / "harness_test.mark"
        done = guest(f"echo x >{mark} && cat {mark}")
        self.assertEqual((done.returncode, done.stdout), (0, "x\n"), done.stderr)
        self.assertFalse(mark.exists())

    def test_output_directory(self):
        with tempfile.TemporaryDirectory() as output:
            done = guest("echo written >$ACTIONDFS_OUT/result", "--output", output)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(pathlib.Path(output, "result").read_text(), "written\n")
            self.assertTrue(pathlib.Path(output, "console.log").exists())

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
    # Whether there is anything to test, before 10 tests find out.
    built = subprocess.run([HERE / "build_kernel.sh", VEHICLE], stdout=subprocess.DEVNULL)
    if built.returncode == SKIP or os.geteuid() != 0:
        sys.exit(SKIP)
    unittest.main(verbosity=2)
