#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A container that fights back: while prestart hooks run, a process in it exchanges directories on the way to the
destination with symlinks that lead out of its root, as fast as it can. ACTIONDFS_SECONDS is how long each race lasts."""

import ctypes
import multiprocessing
import os
import sys
import time
import unittest

import checklist
from host import Bundle

SECONDS = float(os.environ.get("ACTIONDFS_SECONDS", "4"))
AT_FDCWD = -100
RENAME_EXCHANGE = 2


def exchange(one, other):
    """Until it is killed."""
    rename = ctypes.CDLL(None, use_errno=True).renameat2
    one, other = one.encode(), other.encode()
    while True:
        if rename(AT_FDCWD, one, AT_FDCWD, other, RENAME_EXCHANGE) != 0:
            sys.exit(os.strerror(ctypes.get_errno()))


class ExchangeTest(checklist.HostTest):
    def race(self, name, destination, exchanged):
        """Prestart and poststop over and over, while `exchanged` below the root of a container is a directory and a
        symlink in turns. How often the workspace was attached, and how often refused."""
        directory, container_id = self.host.make_bundle(Bundle(self.annotations(destination=destination, mode="readonly")))
        rootfs = os.path.join(directory, "rootfs")
        victim = self.host.path("victim-" + name)
        os.makedirs(os.path.join(victim, "inner"))
        before = self.listing(victim)
        path = os.path.join(rootfs, exchanged)
        os.makedirs(path)
        os.symlink(victim, path + ".link")
        fighter = multiprocessing.Process(target=exchange, args=(path, path + ".link"))
        self.addCleanup(fighter.kill)
        attached = refused = 0
        fighter.start()
        end = time.monotonic() + SECONDS
        # Until both were seen: a race that one side always wins is none.
        while time.monotonic() < end or not (attached and refused):
            self.assertTrue(fighter.is_alive())
            with checklist.FakeContainer() as container:
                # Another id each time: the server takes note of a mount's end in its own time.
                state = self.state(directory, f"{container_id}-{attached + refused}", container.pid,
                                   annotations=self.annotations(destination=destination, mode="readonly"))
                done = self.hook("prestart", state)
                points = [point for point, _ in container.mounts()
                          if self.host.dir in point and point != self.host.state_root]
            self.assertEqual(self.hook("poststop", state).err, "")
            if done.code == 0:
                attached += 1
                # By its name of now: what is attached goes where its directory is moved.
                self.assertEqual([point.replace(".link", "") for point in points], [rootfs + destination])
            else:
                refused += 1
                self.assertIn("destination", done.err)
                self.assertEqual(points, [])
        fighter.kill()
        fighter.join()
        self.assertEqual(self.listing(victim), before)
        self.host.check_clean()
        print(f"{name}: {attached} attached, {refused} refused, none escaped", flush=True)

    @staticmethod
    def listing(directory):
        return sorted((top, st.st_mode, st.st_mtime_ns) for top, _, _ in os.walk(directory)
                      for st in (os.lstat(top),))

    def test_the_destination_itself(self):
        self.race("itself", "/workspace", "workspace")

    def test_a_parent_of_the_destination(self):
        self.race("parent", "/a/inner", "a")

    def test_a_parent_below_which_directories_are_made(self):
        self.race("made", "/a/b/c", "a")


if __name__ == "__main__":
    checklist.main("unshare")
