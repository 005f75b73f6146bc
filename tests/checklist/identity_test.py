#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Whose container is it? Process numbers that are used again, inits that die under the hook, the host's namespace."""

import ctypes
import json
import os
import signal
import subprocess
import unittest

import checklist
from host import ACTIONDFS, BACKEND, HOOK, Bundle, call

SYS_CLONE3 = 435
CLONE_NEWNS = 0x20000


def start_time(pid):
    """Field 22 of proc(5)'s stat, or None where there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]
    except OSError:
        return None


class Clone3Arguments(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in (
        "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls", "set_tid",
        "set_tid_size", "cgroup")]


def process_with_number(pid):
    """Starts a process that has this number, and a mount namespace of its own, and waits forever."""
    libc = ctypes.CDLL(None, use_errno=True)
    number = ctypes.c_int(pid)
    arguments = Clone3Arguments(flags=CLONE_NEWNS, exit_signal=signal.SIGCHLD,
                                set_tid=ctypes.addressof(number), set_tid_size=1)
    child = libc.syscall(SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if child == 0:
        os.execv("/bin/busybox", ["sleep", "600"])
    assert child == pid, os.strerror(ctypes.get_errno())


def end(pid):
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


class IdentityTest(checklist.HostTest):
    def setUp(self):
        self.directory, self.container_id = self.host.make_bundle(Bundle(self.annotations()))
        self.container = checklist.FakeContainer()
        self.addCleanup(self.container.kill)
        self.told = self.state(self.directory, self.container_id, self.container.pid)

    def rows(self):
        return json.loads(self.host.actiondfs("ps", "--json", "--config", self.host.config_path).out)

    def use_number_again(self):
        """The container's init dies, and another process has its number; the kernel tells them apart by 1/100 s."""
        pid, old = self.container.pid, start_time(self.container.pid)
        self.container.kill()
        process_with_number(pid)
        while start_time(pid) == old:
            end(pid)
            process_with_number(pid)
        self.addCleanup(end, pid)
        return pid

    def assert_no_workspace_in(self, pid):
        with open(f"/proc/{pid}/mountinfo", encoding="utf-8") as file:
            self.assertEqual([line for line in file if os.path.join(self.directory, "rootfs") in line], [])

    def test_number_that_is_used_again_keeps_no_workspace_alive(self):
        self.assertEqual(self.hook("prestart", self.told).err, "")
        self.assertEqual([row["state"] for row in self.rows()], ["live"])
        self.use_number_again()
        self.assertEqual([row["state"] for row in self.rows()], ["dead"])
        self.assertIn(self.container_id, self.host.actiondfs("gc", "--config", self.host.config_path).out)
        self.host.check_clean()

    def test_poststop_ends_the_workspace_though_the_number_is_used_again(self):
        self.assertEqual(self.hook("prestart", self.told).err, "")
        self.use_number_again()
        self.assertEqual(self.hook("poststop", self.told).err, "")
        self.host.check_clean()

    def test_lease_of_another_boot_is_dead(self):
        self.assertEqual(self.hook("prestart", self.told).err, "")
        path = os.path.join(self.host.state_root, self.container_id, "lease.json")
        with open(path, encoding="utf-8") as file:
            lease = json.load(file)
        lease["boot_id"] = "00000000-0000-0000-0000-000000000000"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(lease, file)
        self.assertEqual([row["state"] for row in self.rows()], ["dead"])
        self.assertIn(self.container_id, self.host.actiondfs("gc", "--config", self.host.config_path).out)
        self.host.check_clean()

    def test_gc_of_another_pid_namespace_touches_nothing(self):
        """One that runs in a container itself, with the host's directories."""
        self.assertEqual(self.hook("prestart", self.told).err, "")
        gc = ["gc", "--config", self.host.config_path]
        elsewhere = call(["unshare", "--pid", "--fork", "--mount-proc", ACTIONDFS, *gc])
        self.assertEqual((elsewhere.code, elsewhere.out), (1, ""), elsewhere.err)
        self.assertIn("another pid namespace", elsewhere.err)
        self.assertEqual([row["state"] for row in self.rows()], ["live"])
        self.container.kill()
        self.assertIn(self.container_id, self.host.actiondfs(*gc).out)
        self.host.check_clean()

    @unittest.skipUnless(BACKEND == "fuse", "nothing else can be held up")
    def test_init_that_dies_under_the_hook(self):
        hook = self.held_hook(self.told, self.container_id)
        self.container.kill()
        code, err = self.let_go(hook)
        self.assertEqual(code, 1)
        self.assertIn("No such process", err)
        self.host.check_clean()

    @unittest.skipUnless(BACKEND == "fuse", "nothing else can be held up")
    def test_number_that_is_used_again_under_the_hook(self):
        hook = self.held_hook(self.told, self.container_id)
        pid = self.use_number_again()
        code, err = self.let_go(hook)
        self.assertEqual(code, 1)
        self.assertIn("No such process", err)
        self.assert_no_workspace_in(pid)
        self.host.check_clean()

    def test_process_in_the_hosts_mount_namespace(self):
        with subprocess.Popen(["sleep", "600"]) as sleeper:
            done = self.hook("prestart", self.state(self.directory, self.container_id, sleeper.pid))
            sleeper.kill()
        self.assertEqual(done.code, 1)
        self.assertIn("no mount namespace of its own", done.err)
        with open("/proc/self/mountinfo", encoding="utf-8") as file:
            self.assertNotIn(os.path.join(self.directory, "rootfs"), file.read())
        self.host.check_clean()

    def test_the_hook_itself_as_the_container(self):
        done = call(["sh", "-c", 'printf "$0" $$ | exec "$@"',
                     self.state(self.directory, self.container_id, 0).replace('"pid": 0', '"pid": %d'),
                     HOOK, "prestart", "--config", self.host.config_path])
        self.assertEqual(done.code, 1)
        self.assertIn("no mount namespace of its own", done.err)

    def test_numbers_that_are_no_containers(self):
        for pid in (0, -1, 1 << 31, 4194304, "1", None, 1.5):
            with self.subTest(pid=pid):
                done = self.hook("prestart", self.state(self.directory, self.container_id, pid))
                self.assertEqual((done.code, len(done.err.splitlines())), (1, 1), done.err)
        self.host.check_clean()


if __name__ == "__main__":
    checklist.main("unshare")
