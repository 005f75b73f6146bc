#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What the hook, gc and the server hold and call: what docs/security.md says, and no more. needs_test.py has the reasons."""

import os
import re
import subprocess

import programs
from host import ACTIONDFS, call
from programs import TABLE, TOP, Held, status

NO_CAPABILITY = 0
# linux/capability.h
NUMBERS = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_SYS_CHROOT": 18,
           "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}


def bits(names):
    return sum(1 << NUMBERS[name] for name in names)


class PrivilegesTest(programs.ProgramsTest):
    def check_status(self, fields, profile):
        for name in ("CapPrm", "CapEff"):
            self.assertEqual(int(fields[name], 16), bits(TABLE[profile]), f"{name} in {profile}")
        for name in ("CapInh", "CapBnd", "CapAmb"):
            self.assertEqual(int(fields[name], 16), NO_CAPABILITY, f"{name} in {profile}")
        self.assertEqual(fields["NoNewPrivs"], "1")
        self.assertEqual(fields["Seccomp"], "0" if profile == "prestart" else "2")

    # What they hold.

    def check_held_hook(self, stage, profile, syscall, when):
        held = Held(self.host, syscall, when, self.command(stage), self.state())
        self.check_status(status(f"/proc/{held.pid}/status"), profile)
        self.assertEqual(os.readlink(f"/proc/{held.pid}/cwd"), "/")
        files = [os.readlink(f"/proc/{held.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{held.pid}/fd")]
        self.assertNotIn("/", files)
        self.assertEqual(held.go_on(), (0, ""))

    def test_prestart_holds_what_is_documented_and_nothing_after_the_attach(self):
        self.start_server()
        self.start_container()
        self.check_held_hook("prestart", "prestart", "pidfd_open", 1)
        self.end_container(self.init)
        self.assertEqual(self.hook("poststop").err, "")
        self.start_container()
        # The second lease.
        self.check_held_hook("prestart", "attached", "renameat,renameat2", 2)
        self.end_container(self.init)
        self.assertEqual(self.hook("poststop").err, "")
        self.host.check_clean()

    def test_poststop_and_gc_hold_what_is_documented(self):
        self.start_server()
        self.start_container()
        self.prestart()
        self.end_container(self.init)
        self.check_held_hook("poststop", "poststop", "umount2", 1)
        self.host.check_clean()
        self.start_container()
        self.prestart()
        self.end_container(self.init)
        held = Held(self.host, "umount2", 1, [ACTIONDFS, "gc", "--config", self.host.config_path], "")
        self.check_status(status(f"/proc/{held.pid}/status"), "gc")
        self.assertEqual(held.go_on(), (0, ""))
        self.host.check_clean()

    def test_server_and_all_of_its_threads_hold_what_is_documented(self):
        self.start_server()
        self.start_container()
        self.prestart()
        tasks = f"/proc/{self.host.server.pid}/task"
        self.assertGreater(len(os.listdir(tasks)), 1)
        for task in os.listdir(tasks):
            self.check_status(status(f"{tasks}/{task}/status"), "serve")

    def test_systemd_gives_the_server_what_is_documented(self):
        with open(os.path.join(TOP, "packaging/systemd/actiondfs-serve.service"), encoding="utf-8") as file:
            unit = file.read()
        given = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)[1].split()
        self.assertEqual(set(given), TABLE["serve"])

    # System calls.

    def test_nothing_is_opened_or_run_in_the_container_and_only_the_lease_written_afterwards(self):
        self.start_server()
        for mode in ("strict", "overlay"):
            self.start_container(mode=mode)
            trace = self.host.path("calls")
            done = self.hook("prestart", ["strace", "-f", "-o", trace])
            self.assertEqual((done.code, done.err), (0, ""))
            with open(trace, encoding="utf-8", errors="replace") as file:
                calls = [line.split(" ", 1)[1].strip() for line in file]
            names = [line.split("(")[0] for line in calls]
            self.assertEqual(names.count("execve"), 1)
            entered, left = (i for i, name in enumerate(names) if name == "setns")
            rootfs = os.path.join(self.directory, "rootfs")
            inside = calls[entered + 1:left]
            opened = [line for line in inside if line.startswith("open")]
            self.assertIn(f'openat(AT_FDCWD, "{rootfs}", O_RDONLY|O_CLOEXEC|O_PATH|O_DIRECTORY', opened[0])
            for line in opened[1:]:
                self.assertRegex(line, r'openat2\(\d+, "workspace", .*O_PATH.*RESOLVE_NO_MAGICLINKS|RESOLVE_NO_SYMLINKS')
            self.assertLessEqual(set(names[entered + 1:left]), {"openat", "openat2", "mkdirat", "move_mount", "close", "brk"})
            after = [line for line in calls[left + 1:] if line.startswith("open")]
            self.assertEqual(len(after), 1, after)
            self.assertIn("lease.json.tmp", after[0])
            self.end_container(self.init)
            self.assertEqual(self.poststop().err, "")

    def test_filters_kill_and_refuse(self):
        # The same filters; only a test can make a call that the programs never make.
        program = os.environ["ACTIONDFS_SANDBOX_TEST"]
        done = call([program, "--gtest_filter=FilterTest.*"])
        self.assertEqual(done.code, 0, done.out)
        self.assertIn("FilterTest.TheHookIsKilledForWhatItNeverDoes", done.out)
        self.assertNotIn("[  SKIPPED ] FilterTest.TheHookIsKilled", done.out)

    def test_lease_that_cannot_be_written_after_the_attach(self):
        self.start_server()
        os.mkdir(self.host.state_root, 0o700)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=0700", "tmpfs", self.host.state_root], check=True)
        self.start_container()
        held = Held(self.host, "setns", 2, self.command("prestart"), self.state())
        filler = os.path.join(self.host.state_root, "filler")
        with self.assertRaises(OSError), open(filler, "wb", buffering=0) as file:
            while True:
                file.write(b"x" * 4096)
        code, err = held.go_on()
        self.assertEqual(code, 1, err)
        self.assertEqual(len(err.splitlines()), 1, err)
        self.assertIn("No space left on device", err)
        os.unlink(filler)
        self.end_container(self.init)
        self.assertEqual(self.poststop().err, "")
        subprocess.run(["umount", "--recursive", self.host.state_root], check=True)
        self.host.check_clean()


if __name__ == "__main__":
    programs.main("strace")
