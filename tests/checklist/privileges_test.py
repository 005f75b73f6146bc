#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The privileges of the hook, of gc and of the server: what docs/security.md says, no more, and each for a reason.

The hook is called by hand, for a process in a mount namespace of its own that takes a container's place: so it can be stopped
in the middle of its work, started without a capability, and followed call by call.
"""

import json
import os
import re
import signal
import stat
import subprocess
import sys
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TOP, "tests/runtime"))

# pylint: disable=wrong-import-position
from host import ACTIONDFS, HOOK, SKIP, Bundle, Host, call, missing, wait_for

USER = 1000  # whom the action runs as, where it is not root
NO_CAPABILITY = 0
# linux/capability.h
NUMBERS = {"CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_FOWNER": 3, "CAP_FSETID": 4, "CAP_SYS_CHROOT": 18,
           "CAP_SYS_PTRACE": 19, "CAP_SYS_ADMIN": 21}


def documented():
    """Profile -> its capabilities, of the table in docs/security.md."""
    with open(os.path.join(TOP, "docs/security.md"), encoding="utf-8") as file:
        lines = [line.strip().strip("|").split("|") for line in file if line.startswith("|")]
    rows = [[cell.strip() for cell in line] for line in lines]
    start = next(i for i, row in enumerate(rows) if row[0] == "capability")
    profiles = {name: set() for name in rows[start][1:-1]}
    for row in rows[start + 2:]:
        if not row[0].startswith("CAP_"):
            break
        for name, mark in zip(profiles, row[1:]):
            if mark == "x":
                profiles[name].add(row[0])
    return profiles


TABLE = documented()


def bits(names):
    return sum(1 << NUMBERS[name] for name in names)


def without(capability):
    """A prefix that starts a program without one capability."""
    return ["setpriv", "--bounding-set=-" + capability.removeprefix("CAP_").lower()] if capability else []


def only(names):
    return ["setpriv", "--bounding-set=" + ",".join(["-all", *("+" + name.removeprefix("CAP_").lower() for name in names)])]


def as_user(*command):
    return ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", *command]


def status(path):
    with open(path, encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def hidden_proc(*command):
    """In a mount namespace whose /proc hides the processes that one may not trace, but from a group."""
    return ["unshare", "--mount", "--propagation", "private", "sh", "-ec",
            'mount -t proc -o hidepid=2,gid=12345 proc /proc; exec "$@"', "sh", *command]


class Held:
    """A program that is stopped on entering its `when`th call of `syscall`; with a descriptor that it should not have."""

    def __init__(self, host, syscall, when, command, text):
        host.count += 1
        self.trace = host.path(f"trace{host.count}")
        leak = os.open("/", os.O_RDONLY)
        self.strace = subprocess.Popen(  # pylint: disable=consider-using-with
            ["strace", "-f", "-o", self.trace, "-e", f"trace={syscall}", "-e",
             f"inject={syscall}:signal=SIGSTOP:when={when}", *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, pass_fds=[leak])
        os.close(leak)
        self.strace.stdin.write(text)
        self.strace.stdin.close()
        self.strace.stdin = None
        wait_for("the program to stop", lambda: "stopped by SIGSTOP" in self.log() or self.strace.poll() is not None)
        self.pid = int(re.search(r"^(\d+) .*stopped by SIGSTOP", self.log(), re.MULTILINE)[1])

    def log(self):
        if not os.path.exists(self.trace):
            return ""
        with open(self.trace, encoding="utf-8", errors="replace") as file:
            return file.read()

    def status(self):
        return status(f"/proc/{self.pid}/status")

    def go_on(self):
        """(exit code, stderr)"""
        os.kill(self.pid, signal.SIGCONT)
        _, err = self.strace.communicate(timeout=30)
        return self.strace.returncode, err


class PrivilegesTest(unittest.TestCase):
    def setUp(self):
        self.host = Host()
        self.addCleanup(self.host.close)
        os.makedirs(self.host.path("tree/dir"))
        with open(self.host.path("tree/file"), "w", encoding="utf-8") as file:
            file.write("content\n")
        self.root = self.host.import_tree(self.host.path("tree"))
        self.containers = 0

    def start_container(self, mode="strict", root_owner=0, **bundle):
        """Sets self.directory, self.id, self.init and self.annotations."""
        self.annotations = {"dev.actiondfs.input-root": self.root, "dev.actiondfs.mode": mode}
        self.directory, self.id = self.host.make_bundle(Bundle(self.annotations, **bundle))
        os.chown(os.path.join(self.directory, "rootfs"), root_owner, root_owner)
        self.init = subprocess.Popen(  # pylint: disable=consider-using-with
            ["unshare", "--mount", "--propagation", "private", "sleep", "infinity"])
        self.addCleanup(self.end_container, self.init)
        own = os.readlink("/proc/self/ns/mnt")
        wait_for("a mount namespace", lambda: os.readlink(f"/proc/{self.init.pid}/ns/mnt") != own)

    def end_container(self, init):
        init.kill()
        init.wait()

    def command(self, stage):
        return [HOOK, stage, "--config", self.host.config_path]

    def state(self):
        return json.dumps({"ociVersion": "1.0.2", "id": self.id, "pid": self.init.pid, "status": "creating",
                           "bundle": self.directory, "annotations": self.annotations})

    def hook(self, stage, prefix=()):
        return call([*prefix, *self.command(stage)], input=self.state())

    def prestart(self, prefix=()):
        done = self.hook("prestart", prefix)
        self.assertEqual((done.code, done.err), (0, ""))
        return os.path.join(self.host.state_root, self.id, "mnt")

    def gc(self, prefix=()):
        return call([*prefix, ACTIONDFS, "gc", "--config", self.host.config_path])

    def start_server(self, prefix=()):
        self.host.server_prefix = list(prefix)
        self.host.start_server()

    def check_line(self, text, capability):
        """One line, which says what was not permitted and why."""
        self.assertEqual(len(text.splitlines()), 1, text)
        self.assertRegex(text, "Operation not permitted|Permission denied")
        if capability:
            self.assertIn("started without " + capability + ":", text)

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
        self.check_status(held.status(), profile)
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
        self.check_status(held.status(), "gc")
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

    # Each is needed.

    def refuse_prestart(self, capability, **container):
        self.start_server()
        self.start_container(**container)
        done = self.hook("prestart", without(capability))
        self.assertEqual(done.code, 1)
        self.check_line(done.err, capability)
        self.host.check_clean()
        self.assertEqual(os.listdir(os.path.join(self.directory, "rootfs/tmp")), [])
        self.assertFalse(os.path.exists(os.path.join(self.directory, "rootfs/workspace")))
        self.prestart()

    def test_prestart_needs_sys_admin(self):
        self.refuse_prestart("CAP_SYS_ADMIN")

    def test_prestart_needs_sys_chroot(self):
        self.refuse_prestart("CAP_SYS_CHROOT")

    def test_prestart_needs_sys_ptrace(self):
        self.refuse_prestart("CAP_SYS_PTRACE")

    def test_prestart_needs_dac_override_where_the_root_is_another_users(self):
        self.refuse_prestart("CAP_DAC_OVERRIDE", root_owner=USER)

    def test_prestart_needs_chown_for_a_users_overlay(self):
        self.refuse_prestart("CAP_CHOWN", mode="overlay", uid=USER, gid=USER)

    def test_prestart_needs_fowner_for_a_users_overlay(self):
        self.refuse_prestart("CAP_FOWNER", mode="overlay", uid=USER, gid=USER)

    def set_group_id(self, where):
        """Whether the action's user can give its own directory the bit."""
        done = call(as_user("sh", "-ec", "mkdir made; chmod 2755 made"), cwd=where)
        self.assertEqual(done.code, 0, done.err)
        return os.stat(os.path.join(where, "made")).st_mode & stat.S_ISGID != 0

    def test_prestart_needs_fsetid_for_what_overlayfs_does_later(self):
        self.start_server()
        for capability, kept in (("CAP_FSETID", False), (None, True)):
            self.start_container(mode="overlay", uid=USER, gid=USER)
            self.assertEqual(self.set_group_id(self.prestart(without(capability))), kept)

    def end_with(self, end, capability, stage_script):
        """The action has left `stage_script`'s doing; ending it without the capability fails, and then with it does not."""
        self.start_server()
        self.start_container()
        pin = self.prestart()
        self.assertEqual(call(["sh", "-ec", stage_script], cwd=pin).code, 0)
        self.end_container(self.init)
        done = end(without(capability))
        self.assertRegex(done.err, "Operation not permitted|Permission denied")
        self.assertNotEqual(self.host.leftovers(), [])
        self.assertEqual(end().err, "")
        self.host.check_clean()
        return done

    STICKY = f"mkdir d; touch d/f; chown {USER + 1} d/f; chmod 1777 d; chown {USER} d"
    CLOSED = f"mkdir -m 700 d; touch d/f; chown {USER} d/f d"

    def poststop(self, prefix=()):
        return self.hook("poststop", prefix)

    def test_poststop_needs_sys_admin(self):
        self.check_line(self.end_with(self.poststop, "CAP_SYS_ADMIN", "true").err, "CAP_SYS_ADMIN")

    def test_poststop_needs_dac_override_for_what_an_action_closed(self):
        self.check_line(self.end_with(self.poststop, "CAP_DAC_OVERRIDE", self.CLOSED).err, "CAP_DAC_OVERRIDE")

    def test_poststop_needs_fowner_for_sticky_directories(self):
        self.check_line(self.end_with(self.poststop, "CAP_FOWNER", self.STICKY).err, "CAP_FOWNER")

    def test_poststop_needs_sys_ptrace_to_see_who_lives(self):
        self.start_server()
        self.start_container()
        self.prestart()
        state = self.state()
        done = call(hidden_proc(*self.command("poststop")), input=state)
        self.assertIn("live container", done.err)
        done = call(hidden_proc(*without("CAP_SYS_PTRACE"), *self.command("poststop")), input=state)
        self.assertEqual(done.err, "")

    def test_gc_needs_sys_admin(self):
        self.end_with(self.gc, "CAP_SYS_ADMIN", "true")

    def test_gc_needs_dac_override_for_what_an_action_closed(self):
        self.end_with(self.gc, "CAP_DAC_OVERRIDE", self.CLOSED)

    def test_gc_needs_fowner_for_sticky_directories(self):
        self.end_with(self.gc, "CAP_FOWNER", self.STICKY)

    def test_gc_needs_sys_ptrace_to_see_who_lives(self):
        self.start_server()
        self.start_container()
        self.prestart()
        self.assertEqual(self.gc(hidden_proc()).out, "")
        self.assertIn(self.id, self.gc(hidden_proc(*without("CAP_SYS_PTRACE"))).out)

    def serve(self, capability, script):
        """The outcome of the script, run by the action's user on a server that lacks the capability."""
        self.start_server(without(capability))
        point = self.host.path("point")
        os.makedirs(point, exist_ok=True)
        self.host.actiondfs("mount", self.root, point, "--cas", self.host.cas, "--backend", "fuse", "--mode", "strict",
                            "--stage", self.host.path(f"stage{capability}"), "--socket", self.host.socket,
                            "-o", f"uid={USER},gid={USER}")
        try:
            return call(as_user("sh", "-ec", script), cwd=point)
        finally:
            self.host.actiondfs("umount", point)
            self.host.stop_server()

    def refuse_on_server(self, capability, script):
        done = self.serve(capability, script)
        self.assertNotEqual(done.code, 0)
        self.assertRegex(done.err, "Operation not permitted|Permission denied")
        self.assertEqual(self.serve(None, script).code, 0)

    def test_server_needs_sys_admin(self):
        self.start_server(without("CAP_SYS_ADMIN"))
        self.start_container()
        done = self.hook("prestart")
        self.assertEqual(done.code, 1)
        self.check_line(done.err, None)
        self.host.check_clean()

    def test_server_needs_chown(self):
        self.refuse_on_server("CAP_CHOWN", "echo x > new")

    def test_server_needs_dac_override(self):
        self.refuse_on_server("CAP_DAC_OVERRIDE", "mkdir -m 700 d; echo x > d/new")

    def test_server_needs_fowner(self):
        self.refuse_on_server("CAP_FOWNER", "echo x > new; chmod 640 new")

    def test_server_needs_fsetid(self):
        script = "mkdir d; chmod 2755 d; stat -c %a d"
        self.assertEqual(self.serve("CAP_FSETID", script).out, "755\n")
        self.assertEqual(self.serve(None, script).out, "2755\n")

    def test_every_documented_capability_has_its_test(self):
        names = [name for name in dir(self) if re.match(r"test_\w+_needs_", name)]
        programs = {"prestart": "prestart", "poststop": "poststop", "gc": "gc", "serve": "server"}
        for profile, program in programs.items():
            for capability in TABLE[profile]:
                prefix = f"test_{program}_needs_{capability.removeprefix('CAP_').lower()}"
                self.assertTrue(any(name.startswith(prefix) for name in names), prefix)
        self.assertEqual(TABLE["attached"], set())

    # And no other.

    def test_nothing_else_is_needed(self):
        self.start_server(only(TABLE["serve"]))
        for mode in ("readonly", "strict", "overlay"):
            self.start_container(mode=mode, uid=USER, gid=USER, root_owner=USER)
            pin = self.prestart(only(TABLE["prestart"]))
            if mode != "readonly":
                self.assertTrue(self.set_group_id(pin))
            self.end_container(self.init)
            done = self.poststop(only(TABLE["poststop"]))
            self.assertEqual((done.code, done.err), (0, ""))
            self.host.check_clean()
        self.start_container()
        self.prestart()
        self.end_container(self.init)
        done = self.gc(only(TABLE["gc"]))
        self.assertEqual((done.code, done.err), (0, ""))
        self.host.check_clean()

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
    lacking = missing("/bin/busybox", "setpriv", "strace", "unshare")
    if lacking:
        print("SKIP: needs " + lacking)
        sys.exit(SKIP)
    unittest.main(verbosity=2)
