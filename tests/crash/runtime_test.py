#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Real runtimes, killed (SIGKILL) while the hook is in the middle of prestart: the hook is left to itself."""

import os
import signal
import subprocess
import sys
import unittest

from scene import AT_CALL, TIMEOUT, Scene, command_lines, skip_unless_possible

import runtimes
from host import Bundle, call, missing, wait_for

# Where the hook is held. Names are of system calls, and which one of them.
PLACES = (("flock", 1), ("fsync", 1), ("sendmsg", 1), ("move_mount", 1), ("setns", 1), ("setns", 2), ("fsync", 3),
          ("exit_group", 1))
RUNTIME = sys.argv.pop(1) if len(sys.argv) > 1 and sys.argv[1] in runtimes.ALL else "runc"


def place(calls, name, which):
    return [n for n, called in enumerate(calls, 1) if called == name][which - 1]


class HeldHost(Scene):
    """Its prestart hook stops on its way into a system call."""

    held_call = None

    def hook_entry(self, stage):
        entry = super().hook_entry(stage)
        if stage == "prestart" and self.held_call:
            entry["args"] = ["at_call", "pause", str(self.held_call), self.path("tell"), self.path("wait"), "--",
                             entry["path"], *entry["args"][1:]]
            entry["path"] = AT_CALL
        return entry


class RuntimeTest(unittest.TestCase):
    def setUp(self):
        self.scene = HeldHost()
        self.addCleanup(self.scene.close)
        for name in ("tell", "wait"):
            os.mkfifo(self.scene.path(name))
        measured = self.scene.container("measured")
        self.calls = self.scene.calls("prestart", measured)
        measured.kill()
        self.scene.poststop(measured)
        self.scene.begin()
        self.runtime = runtimes.ALL[RUNTIME](self.scene)
        self.addCleanup(self.runtime.close)

    def start_held(self, name, which):
        """A container whose prestart is held; (the runtime's process, the container's id)."""
        self.scene.held_call = place(self.calls, name, which)
        bundle = Bundle({"dev.actiondfs.input-root": self.scene.root}, "touch /tmp/started; exec sleep 300")
        directory, container_id = self.scene.make_bundle(bundle)
        running = subprocess.Popen(self.runtime.command("run", "--bundle", directory, container_id),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        with open(self.scene.path("tell"), "rb") as tell:
            self.assertEqual(tell.read(1), b"p", "prestart has ended before it could be held")
        return running, directory, container_id

    def hooks(self):
        words = "prestart --config " + self.scene.config_path
        return [pid for pid, line in command_lines() if words in line]

    def end(self, directory, container_id):
        call(self.runtime.command("delete", "--force", container_id))
        self.assertFalse(os.path.exists(os.path.join(directory, "rootfs/tmp/started")), "the container ran")

        def clean():
            self.scene.gc()
            return self.scene.snapshot() == self.scene.before

        # Its init waits for a runtime that is gone, and ends by itself: until then it lives.
        wait_for("nothing to be left", clean)
        self.scene.live.use()

    def test_runtime_killed_and_the_hook_goes_on(self):
        for name, which in PLACES:
            with self.subTest(call=name, which=which):
                running, directory, container_id = self.start_held(name, which)
                os.kill(running.pid, signal.SIGKILL)  # wrappers exec
                running.wait(TIMEOUT)
                with open(self.scene.path("wait"), "wb"):
                    pass
                wait_for("the hook to end", lambda: not self.hooks())
                self.end(directory, container_id)

    def test_runtime_and_hook_killed(self):
        for name, which in PLACES:
            with self.subTest(call=name, which=which):
                running, directory, container_id = self.start_held(name, which)
                os.kill(running.pid, signal.SIGKILL)  # wrappers exec
                running.wait(TIMEOUT)
                for pid in self.hooks():
                    os.kill(pid, signal.SIGKILL)
                wait_for("the hook to be gone", lambda: not self.hooks())
                self.end(directory, container_id)

    def test_hook_killed_and_the_runtime_goes_on(self):
        for name, which in PLACES:
            with self.subTest(call=name, which=which):
                running, directory, container_id = self.start_held(name, which)
                for pid in self.hooks():
                    os.kill(pid, signal.SIGKILL)
                self.assertNotEqual(running.wait(TIMEOUT), 0, "a container was started without its hook")
                self.end(directory, container_id)


if __name__ == "__main__":
    skip_unless_possible(*runtimes.ALL[RUNTIME].programs, "/bin/busybox")
    unittest.main(verbosity=2)
