# SPDX-License-Identifier: Apache-2.0
"""The hook, gc and the server, started by hand for a process in a mount namespace of its own that takes a container's place:
so they can be stopped in the middle of their work, started without a capability, and followed call by call. And the table of
docs/security.md, which says what each holds.
"""

import json
import os
import re
import signal
import subprocess
import sys
import unittest

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(TOP, "tests/runtime"))

# pylint: disable=wrong-import-position
from host import ACTIONDFS, HOOK, SKIP, Bundle, Host, call, missing, wait_for


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


def status(path):
    with open(path, encoding="utf-8") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


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

    def go_on(self):
        """(exit code, stderr)"""
        os.kill(self.pid, signal.SIGCONT)
        _, err = self.strace.communicate(timeout=30)
        return self.strace.returncode, err


class ProgramsTest(unittest.TestCase):
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

    def poststop(self, prefix=()):
        return self.hook("poststop", prefix)


def main(*programs):
    lacking = missing("/bin/busybox", "unshare", *programs)
    if lacking:
        print("SKIP: needs " + lacking)
        sys.exit(SKIP)
    unittest.main(verbosity=2)
